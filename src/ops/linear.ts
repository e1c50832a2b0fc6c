import { expectOptions, nameOfKind } from "../core/error.ts";
import type { DType } from "../core/dtype.ts";
import { type Shape, size } from "../core/shape.ts";
import { Tensor, zeros } from "../tensor/mod.ts";
import { gemm } from "./gemm/gemm.ts";
import type { Gemm } from "./gemm/problem.ts";
import { lowRankOf, noteProducts, wholeLowRank } from "./low_rank.ts";

/** Weights of a dense layer, a convolution or a norm. */
export interface Affine {
  /** [N, K] of a dense layer, [O, C, kh, kw] of a convolution, one value a channel of a norm. */
  weight: Tensor;
  /** One value an output channel; absent where the layer was trained without. */
  bias?: Tensor | undefined;
}

/** The weight and the bias, which torch takes one by one. */
export function affine(action: string, w: Affine): Affine {
  const { weight, bias } = w ?? {};
  if (weight instanceof Tensor) return { weight, bias };
  const got = w instanceof Tensor ? String(w) : nameOfKind(w);
  throw new TypeError(`Cannot ${action}: expected { weight, bias } with a tensor as weight, got ${got}`);
}

/** Options of `linear`. */
export interface LinearOptions {
  /** Type of the result; by default that of x. */
  dtype?: DType | undefined;
}

/** y = x · weightᵀ + bias, as torch.nn.functional.linear. x [.., K] → [.., N]. */
export function linear(x: Tensor, w: Affine, options: LinearOptions = {}): Tensor {
  expectOptions("apply weights", options, ["dtype"]);
  const { weight, bias } = affine("apply weights", w);
  const { dtype = x.dtype } = options;
  const K = x.shape.at(-1)!;
  const [N, inputs] = weight.shape as Shape<2>;
  if (weight.rank !== 2 || inputs !== K) {
    throw new RangeError(`Cannot apply ${weight} to ${x}: expected a weight [N, ${K}]`);
  }
  const shape = [...x.shape.slice(0, -1), N];
  const [B, m] = batchesOf(x.shape);
  let rows = x.reshape([B, m, K]);
  if (rows.strides[2] !== 1) rows = rows.contiguous();
  noteProducts(weight);
  const added = addedProduct(rows, weight, dtype); // in front of the product, whose `store` then takes the sum
  const dense = weight.strides[1] === 1 ? weight : weight.contiguous();
  const y = K === 0 ? zeros([B, m, N]).cast(dtype) : gemm({
    x: rows,
    w: dense,
    batch: [B, 1],
    m,
    n: N,
    k: K,
    xLayout: { z0: rows.strides[0]!, z1: 0, row: rows.strides[1]! },
    wLayout: { z0: 0, z1: 0, row: dense.strides[0]! },
    order: "nk",
    shape: [B, m, N],
    dtype,
  });
  const sum = added ? y.add(added) : y;
  return (bias ? sum.add(bias) : sum).reshape(shape);
}

/** Rows x [.., K] as one matrix, and a weight whose rows have K elements side by side, as `gemm` takes them. */
export function denseOperands(
  x: Tensor,
  w: Tensor,
): Pick<Gemm, "x" | "w" | "m" | "k" | "xLayout" | "wLayout" | "order"> {
  const [m, k] = [size(x.shape.slice(0, -1)), x.shape.at(-1)!];
  let rows = x.reshape([m, k]);
  if (rows.strides[1] !== 1) rows = rows.contiguous();
  return {
    x: rows,
    w,
    m,
    k,
    xLayout: { z0: 0, z1: 0, row: rows.strides[0]! },
    wLayout: { z0: 0, z1: 0, row: w.strides[0]! },
    order: "nk",
  };
}

const TILE = 64; // rows of the largest tile of a product
const ENOUGH = 256; // rows of which a tile that is not full is a small part

/**
 * The rows of several pictures as batches, or all as one. As batches their slices are not copied, and what is
 * fused may differ from picture to picture, as gates do; but each picture begins a tile of its own.
 */
function batchesOf([B, ...rest]: Shape): [batches: number, rows: number] {
  const m = size(rest.slice(0, -1));
  return rest.length > 1 && (m % TILE === 0 || m >= ENOUGH) ? [B!, m] : [1, size([B!, ...rest].slice(0, -1))];
}

/**
 * The product that a LoRA adds for inputs that its layer does not read, behind those that it does: a Control LoRA's
 * (https://huggingface.co/black-forest-labs/FLUX.1-Canny-dev-lora). x [.., K' − K] → [.., N]
 */
export function linearBehind(x: Tensor, { weight }: Affine): Tensor | undefined {
  const lowRank = wholeLowRank(weight);
  const [columns, more] = [weight.shape[1]!, x.shape.at(-1)!];
  if (!lowRank || lowRank.down.shape[1] !== columns + more) return undefined;
  const hidden = linear(x, { weight: lowRank.down.slice(1, columns) }).mul(lowRank.scale());
  return linear(hidden.cast(x.dtype), { weight: lowRank.up });
}

/** The product that a LoRA adds to that of a weight with rows x [B, m, K]. → [B, m, N] */
function addedProduct(x: Tensor, weight: Tensor, dtype: DType): Tensor | undefined {
  const lowRank = lowRankOf(weight);
  if (!lowRank) return undefined;
  const hidden = linear(x, { weight: lowRank.down }).mul(lowRank.scale());
  return linear(hidden.cast(x.dtype), { weight: lowRank.up }, { dtype });
}
