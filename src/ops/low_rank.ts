import { Leaf } from "../graph/node.ts";
import type { Tensor } from "../tensor/mod.ts";

/**
 * The product that LoRA adds to those with a weight: y = W x + up · (scale ⊙ (down · x)) (Hu et al. 2021,
 * https://arxiv.org/abs/2106.09685). Several LoRAs of a weight are joined along their ranks.
 */
export interface LowRank {
  /** [R, K], of a convolution [R, C, kh, kw]. */
  readonly down: Tensor;
  /** [N, R], of a convolution [N, R, 1, 1]. */
  readonly up: Tensor;
  /** One factor a rank [R], asked for when a product is recorded: a traced model takes them as an input. */
  readonly scale: () => Tensor;
}

/** A weight of a model, torch's Parameter. Its values stay as they are, whatever a LoRA adds to its products. */
export class Parameter extends Leaf {
  /** Added by `linear` and `conv2d`, from the next trace on. */
  lowRank: LowRank | undefined;
  /** True once a product with it was recorded: only then would a `lowRank` be added anywhere. */
  multiplied = false;
}

/** Notes that products with these weights are recorded: only such weights can take a LoRA. */
export function noteProducts(...weights: readonly Tensor[]): void {
  for (const { node } of weights) if (node instanceof Parameter) node.multiplied = true;
}

/** The low-rank matrices of a weight, whose `down` may have more columns than it: see `linearBehind`. */
export function wholeLowRank({ node }: Tensor): LowRank | undefined {
  return node instanceof Parameter ? node.lowRank : undefined;
}

/** The low-rank matrices added to products with a weight; of a slice, the part for its rows and columns. */
export function lowRankOf(weight: Tensor): LowRank | undefined {
  const { node, shape: [rows, columns], strides, offset } = weight;
  if (!(node instanceof Parameter && node.lowRank)) return undefined;
  const { down, up, scale } = node.lowRank;
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
