import type { Shape } from "../../src/core/shape.ts";
import type { Dice } from "./dice.ts";

/** A tensor to be written. */
export interface HostArray {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

/** Two matrices of a LoRA. */
export interface HostPair {
  readonly down: HostArray;
  readonly up: HostArray;
}

/** A safetensors file in F32. */
export function tensorFile(
  tensors: Readonly<Record<string, HostArray>>,
  metadata?: Record<string, string>,
): Uint8Array {
  let end = 0;
  const entries = Object.entries(tensors).map(([name, { shape, data }]) => {
    const [from, to] = [end, end += 4 * data.length];
    return [name, { dtype: "F32", shape, data_offsets: [from, to] }];
  });
  const header = Object.fromEntries(metadata ? [...entries, ["__metadata__", metadata]] : entries);
  const text = new TextEncoder().encode(JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  let at = 8 + text.length;
  for (const { data } of Object.values(tensors)) {
    const bytes = new Uint8Array(Float32Array.from(data).buffer);
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}

/** One number, as files hold alpha. */
export function scalar(value: number): HostArray {
  return { shape: [], data: [value] };
}

/** A random pair for a weight [N, K] or [O, C, kh, kw], large enough to be seen. */
export function randomPair([rows, ...inner]: readonly number[], rank: number, dice: Dice): HostPair {
  const width = inner.reduce((product, n) => product * n, 1);
  return {
    down: { shape: [rank, ...inner], data: dice.numbers(rank * width, 1 / Math.sqrt(width)) },
    up: { shape: [rows!, rank, ...inner.slice(1).map(() => 1)], data: dice.numbers(rows! * rank, 0.7) },
  };
}

/** weight + factor · up · down, in f64; of `up` only the rows from `first` on. */
export function merged(weight: HostArray, { down, up }: HostPair, factor: number, first = 0): HostArray {
  const [rank] = down.shape as Shape<1>;
  const width = down.data.length / rank;
  const data = Float64Array.from(weight.data);
  for (let i = 0; i < data.length; i++) {
    const [row, column] = [first + Math.floor(i / width), i % width];
    let sum = 0;
    for (let r = 0; r < rank; r++) sum += up.data[row * rank + r]! * down.data[r * width + column]!;
    data[i]! += factor * sum;
  }
  return { shape: weight.shape, data };
}
