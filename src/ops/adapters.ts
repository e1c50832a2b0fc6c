import { Leaf, type Node } from "../graph/node.ts";
import type { Tensor } from "../tensor/mod.ts";

/**
 * What LoRA adds to the products with a weight: y = W x + up · (scale ⊙ (down · x)) (Hu et al. 2021,
 * https://arxiv.org/abs/2106.09685). Several adapters of a weight are joined along their ranks.
 */
export interface LowRank {
  /** [R, K], of a convolution [R, C, kh, kw]. */
  readonly down: Tensor;
  /** [N, R], of a convolution [N, R, 1, 1]. */
  readonly up: Tensor;
  /** One factor a rank [R], asked for when a product is recorded: a traced model takes them as an input. */
  readonly scale: () => Tensor;
}

/** By the node, as a layer may use a weight in slices. */
const hung = new WeakMap<Node, LowRank>();
/** Weights that products were recorded with. */
const multiplied = new WeakSet<Node>();

/**
 * Hangs low-rank products on a weight, instead of those that hang there. The weight itself stays as it is.
 */
export function hang(weight: Tensor, adapter: LowRank | undefined): void {
  if (adapter) hung.set(weight.node, adapter);
  else hung.delete(weight.node);
}

/** Whether `linear` or `conv2d` was recorded with a weight: whether what hangs on it comes to bear. */
export function isMultiplied(weight: Tensor): boolean {
  return multiplied.has(weight.node);
}

/** What hangs on a weight; of a slice, what belongs to its rows and columns. For `linear` and `conv2d`. */
export function adapterOf(weight: Tensor): LowRank | undefined {
  const { node, shape: [rows, columns], strides, offset } = weight;
  if (node instanceof Leaf) multiplied.add(node);
  const adapter = hung.get(node);
  if (!adapter) return undefined;
  const { down, up, scale } = adapter;
  const row = node.count / up.shape[0]!; // elements from one row to the next
  if (rows! > 1 && strides[0] !== row) {
    throw new Error(`Cannot adapt ${weight}: expected whole rows or slices of them`);
  }
  const [first, column] = [Math.floor(offset / row), offset % row];
  return {
    down: down.slice(1, column, column + columns!),
    up: up.slice(0, first, first + rows!),
    scale,
  };
}
