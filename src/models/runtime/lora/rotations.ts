import { size } from "../../../core/shape.ts";
import type { Checkpoint, TensorInfo } from "../../../io/formats/checkpoint.ts";
import { toFloats } from "../../../io/formats/numbers.ts";
import type { LoraChange } from "../../../io/lora/changes.ts";

/** Rotations [blocks, b, b] or [stages, blocks, b, b]. */
export interface Rotations {
  readonly values: Float32Array<ArrayBuffer>;
  readonly shape: readonly number[];
}

/**
 * The rotations of OFT and BOFT by Cayley's formula, computed in f64, with `scale` of them and the rest of identity: as
 * LyCORIS weakens them. `columns` are those of the weight.
 */
export async function rotationsOf(
  { tensors, alpha, rotation, rows }: LoraChange,
  checkpoint: Checkpoint,
  columns: number,
  scale: number,
): Promise<Rotations> {
  if (rotation) {
    const vectors = await read(checkpoint, tensors.oft_R!);
    const [count, own] = tensors.oft_R!.shape as [number, number];
    const b = (1 + Math.sqrt(1 + 8 * own)) / 2;
    const blocks = Array.from({ length: count }, (_, i) => {
      const Q = skewOf(vectors.subarray(i * own, (i + 1) * own), b);
      return weakened(rotation.terms ? series(Q, b, rotation.terms) : cayley(Q.map((q) => -q), b), b, scale);
    });
    const total = columns / b;
    if (!Number.isInteger(total)) {
      throw new RangeError(
        `Cannot merge "${
          tensors.oft_R!.name
        }": expected columns in blocks of ${b}, got ${columns}; it was made ` +
          "for another model",
      );
    }
    const values = new Float32Array(total * b * b);
    for (let i = 0; i < total; i++) values.set(blocks[rotation.isShared ? 0 : i]!, i * b * b);
    return { values, shape: [total, b, b] };
  }
  const { shape } = tensors.oft_blocks!;
  const b = shape.at(-1)!;
  const Q = differences(await read(checkpoint, tensors.oft_blocks!), b);
  const bound = alpha * rows!;
  const length = Math.sqrt(Q.reduce((sum, q) => sum + q * q, 0)) + 1e-8;
  if (bound > 0 && length > bound) Q.forEach((q, i) => Q[i] = q * bound / length);
  const values = new Float32Array(Q.length);
  for (let at = 0; at < Q.length; at += b * b) {
    values.set(weakened(cayley(Q.subarray(at, at + b * b), b), b, scale), at);
  }
  return { values, shape };
}

async function read(checkpoint: Checkpoint, info: TensorInfo): Promise<Float32Array> {
  return toFloats(await checkpoint.read(info, 0, size(info.shape)), info.dtype);
}

/** The skew matrix with these numbers above its diagonal, row by row. [b, b] */
function skewOf(above: Float32Array, b: number): Float64Array {
  const Q = new Float64Array(b * b);
  let at = 0;
  for (let i = 0; i < b; i++) {
    for (let j = i + 1; j < b; j++, at++) {
      Q[i * b + j] = above[at]!;
      Q[j * b + i] = -above[at]!;
    }
  }
  return Q;
}

/** Each block less its transpose. */
function differences(blocks: Float32Array, b: number): Float64Array {
  const Q = new Float64Array(blocks.length);
  for (let first = 0; first < Q.length; first += b * b) {
    for (let i = 0; i < b; i++) {
      for (let j = 0; j < b; j++) {
        Q[first + i * b + j] = blocks[first + i * b + j]! - blocks[first + j * b + i]!;
      }
    }
  }
  return Q;
}

/** (I + Q)(I − Q)⁻¹ = 2 (I − Q)⁻¹ − I, by elimination; I − Q is invertible, as Q is skew. */
function cayley(Q: Float64Array, b: number): Float64Array {
  const A = Q.map((q, i) => (i % (b + 1) === 0 ? 1 : 0) - q);
  const X = new Float64Array(b * b);
  for (let i = 0; i < b; i++) X[i * b + i] = 1;
  for (let i = 0; i < b; i++) { // the pivots of I + skew are at least 1: no rows are exchanged
    const pivot = A[i * b + i]!;
    for (let j = 0; j < b; j++) {
      A[i * b + j]! /= pivot;
      X[i * b + j]! /= pivot;
    }
    for (let row = 0; row < b; row++) {
      const factor = A[row * b + i]!;
      if (row === i || factor === 0) continue;
      for (let j = 0; j < b; j++) {
        A[row * b + j]! -= factor * A[i * b + j]!;
        X[row * b + j]! -= factor * X[i * b + j]!;
      }
    }
  }
  return X.map((x, i) => 2 * x - (i % (b + 1) === 0 ? 1 : 0));
}

/** I + 2 Q + 2 Q² + … + Qⁿ⁻¹, peft's series for it. */
function series(Q: Float64Array, b: number, terms: number): Float64Array {
  const R = new Float64Array(b * b);
  for (let i = 0; i < b; i++) R[i * b + i] = 1;
  if (terms === 1) return R;
  let power = Q;
  for (let n = 1; n < terms; n++) {
    if (n > 1) power = product(power, Q, b);
    const factor = n < terms - 1 || terms === 2 ? 2 : 1;
    for (let i = 0; i < R.length; i++) R[i]! += factor * power[i]!;
  }
  return R;
}

function product(A: Float64Array, B: Float64Array, b: number): Float64Array {
  const C = new Float64Array(b * b);
  for (let i = 0; i < b; i++) {
    for (let k = 0; k < b; k++) {
      const a = A[i * b + k]!;
      for (let j = 0; j < b; j++) C[i * b + j]! += a * B[k * b + j]!;
    }
  }
  return C;
}

/** s R + (1 − s) I. */
function weakened(R: Float64Array, b: number, s: number): Float64Array {
  return R.map((x, i) => s * x + (i % (b + 1) === 0 ? 1 - s : 0));
}
