import { sameNumbers } from "../../core/shape.ts";
import { hold, letGo, type Tensor } from "../../tensor/mod.ts";

/**
 * Dense copies of the views that a model was given last, by the names of its inputs: a view that comes again, such as
 * one prompt's rows of embeddings, is the same value to a plan, which then leaves out what depends on it alone.
 */
export class DenseViews {
  readonly #copies = new Map<string, { view: Tensor; copy: Tensor }>();

  /** A tensor as it is where it is dense, else a copy with these strides. */
  of(name: string, x: Tensor, strides: readonly number[]): Tensor {
    const known = this.#copies.get(name);
    if (known && isSame(known.view, x) && !x.node.storage?.released) return known.copy;
    this.#forget(name);
    if (x.isDense(strides)) return x;
    const copy = hold(x.contiguous(strides));
    this.#copies.set(name, { view: x, copy });
    return copy;
  }

  /** Gives the copies' memory back. */
  clear(): void {
    for (const name of this.#copies.keys()) this.#forget(name);
  }

  #forget(name: string): void {
    const known = this.#copies.get(name);
    if (!known) return;
    letGo(known.copy);
    this.#copies.delete(name);
  }
}

function isSame(a: Tensor, b: Tensor): boolean {
  return a.node === b.node && a.offset === b.offset && sameNumbers(a.shape, b.shape) &&
    sameNumbers(a.strides, b.strides);
}
