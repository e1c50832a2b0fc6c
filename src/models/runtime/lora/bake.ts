import type { Node } from "../../../graph/node.ts";
import type { Tensor } from "../../../tensor/mod.ts";
import { expectMergeable, type Merge, mergeAdapter } from "./merged.ts";

/** What takes memory, and can be freed. */
interface Owned {
  readonly bytes: number;
  release(): void;
}

/**
 * What was added to the weights of a model.
 * It stays in memory, so that weights which are loaded again get it again.
 */
export class BakedAdapters {
  readonly #weight: (layer: string) => Tensor;
  readonly #merges: Merge[] = [];
  readonly #adapters = new Map<string, Owned>();

  /** Of a model whose layers have these weights. */
  constructor(weight: (layer: string) => Tensor) {
    this.#weight = weight;
  }

  /** Names of the adapters. */
  get names(): string[] {
    return [...this.#adapters.keys()];
  }

  /** Adds to the weights, to all or to none, and takes over the memory of what it is made of. */
  async add(merges: readonly Merge[], adapters: ReadonlyMap<string, Owned>): Promise<void> {
    for (const { layer } of merges) expectMergeable(layer, this.#weight(layer));
    for (const merge of merges) {
      await mergeAdapter(merge, this.#weight(merge.layer));
      this.#merges.push(merge);
    }
    for (const [name, adapter] of adapters) this.#adapters.set(name, adapter);
  }

  /** Bytes of what it is made of. */
  get bytes(): number {
    return [...this.#adapters.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Adds everything to weights that came into memory anew. */
  async again(weights: readonly Node[]): Promise<void> {
    const anew = new Set(weights);
    for (const merge of this.#merges) {
      const weight = this.#weight(merge.layer);
      if (anew.has(weight.node)) await mergeAdapter(merge, weight);
    }
  }

  /** Gives the memory back. */
  release(): void {
    for (const owned of [...this.#adapters.values(), ...this.#merges]) owned.release();
  }
}
