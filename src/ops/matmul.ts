import { isFloat } from "../core/dtype.ts";
import { broadcast, size } from "../core/shape.ts";
import { type Tensor, zeros } from "../tensor/mod.ts";
import { gemm } from "./gemm/gemm.ts";

/**
 * Matrix product over the last two axes, others broadcast, as torch.matmul. a [.., M, K], b [.., K, N] → [.., M, N]. A
 * vector is one row on the left, one column on the right, whose axis the result lacks.
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  if (a.rank === 1 && b.rank > 0) return matmul(a.unsqueeze(0), b).squeeze(b.rank === 1 ? 0 : -2);
  if (b.rank === 1 && a.rank > 0) return matmul(a, b.unsqueeze(1)).squeeze(-1);
  const [M, K] = a.shape.slice(-2) as [number, number];
  const [inner, N] = b.shape.slice(-2) as [number, number];
  if (a.rank < 2 || b.rank < 2 || inner !== K) {
    throw new RangeError(`Cannot multiply ${a} by ${b}: expected [.., M, K] and [.., K, N] with the same K`);
  }
  if (!isFloat(a.dtype) && !isFloat(b.dtype)) return a.unsqueeze(-1).mul(b.unsqueeze(-3)).sum(-2); // exactly
  if (!isFloat(a.dtype) || !isFloat(b.dtype)) {
    throw new TypeError(`Cannot multiply ${a} by ${b}: expected both in f32 or f16; cast one first`);
  }
  const batch = broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const shape = [...batch, M, N];
  if (size([...batch, K]) === 0) return zeros(shape, { dtype: a.dtype as "f32" | "f16" });
  const x = batched(a, batch, [1]);
  const w = batched(b, batch, [0, 1]);
  const order = w.strides[2] === 1 ? "kn" : "nk";
  const y = gemm({
    x,
    w,
    batch: [1, x.shape[0]!],
    m: M,
    n: N,
    k: K,
    xLayout: { z0: 0, z1: x.strides[0]!, row: x.strides[1]! },
    wLayout: { z0: 0, z1: w.strides[0]!, row: w.strides[order === "kn" ? 1 : 2]! },
    order,
    shape: [x.shape[0]!, M, N],
  });
  return y.reshape(shape);
}

/** A matrix product for each item of a batch, as torch.bmm. a [B, M, K], b [B, K, N] → [B, M, N]. */
export function bmm(a: Tensor, b: Tensor): Tensor {
  if (a.rank !== 3 || b.rank !== 3 || a.shape[0] !== b.shape[0]) {
    throw new RangeError(`Cannot multiply ${a} by ${b}: expected [B, M, K] and [B, K, N] with the same B`);
  }
  return matmul(a, b);
}

/**
 * The matrices as [batch, rows, columns],
 * one of the allowed axes contiguous (0 rows, 1 columns); copies where needed.
 */
function batched(t: Tensor, batch: readonly number[], contiguous: readonly number[]): Tensor {
  const matrix = t.shape.slice(-2);
  const flat = t.expand([...batch, ...matrix]).reshape([size(batch), ...matrix]);
  return contiguous.some((axis) => flat.strides[axis + 1] === 1) ? flat : flat.contiguous();
}
