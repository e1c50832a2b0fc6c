import { hold, letGo, type Tensor } from "../tensor/mod.ts";

/** Tensors that a scheduler remembers from one step to the next; they outlive the scopes of a loop. */
export class Memory {
  #tensors: readonly Tensor[] = [];

  /** What the last step left. */
  get tensors(): readonly Tensor[] {
    return this.#tensors;
  }

  /** Remembers these tensors, and forgets the ones before. */
  keep(tensors: readonly Tensor[]): void {
    const before = this.#tensors;
    this.#tensors = tensors.map(hold);
    for (const tensor of before) letGo(tensor);
  }
}
