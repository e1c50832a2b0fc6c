import { little } from "./files.ts";

/** A tensor for a GGUF file. */
export interface GgufTensor {
  readonly name: string;
  /** Sizes of its axes as torch has them: the file has them reversed. */
  readonly shape: readonly (number | bigint)[];
  /** ggml's number of the type. */
  readonly type: number;
  readonly data: Uint8Array;
  /** Instead of the next free place behind the header. */
  readonly offset?: number | bigint | undefined;
}

/** What a GGUF file is made of; counts may lie. */
export interface GgufParts {
  readonly tensors?: readonly GgufTensor[] | undefined;
  /** Keys with the number of their type, and the bytes of their value. */
  readonly metadata?: readonly (readonly [key: string, type: number, value: Uint8Array])[] | undefined;
  readonly version?: number | undefined;
  readonly tensorCount?: number | bigint | undefined;
  readonly keyCount?: number | bigint | undefined;
  /** Bytes that are cut off. */
  readonly cut?: number | undefined;
}

const ALIGNMENT = 32;

/**
 * A GGUF file, written by its description alone (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
 */
export function ggufFile(
  { tensors = [], metadata = [], version = 3, tensorCount, keyCount, cut = 0 }: GgufParts,
): Uint8Array {
  const head = [
    new TextEncoder().encode("GGUF"),
    little(version, 4),
    little(tensorCount ?? tensors.length, 8),
    little(keyCount ?? metadata.length, 8),
  ];
  for (const [key, type, value] of metadata) head.push(ggufString(key), little(type, 4), value);
  let next = 0;
  const places: number[] = [];
  for (const { name, shape, type, data, offset } of tensors) {
    head.push(ggufString(name), little(shape.length, 4), ...shape.toReversed().map((n) => little(n, 8)));
    head.push(little(type, 4), little(offset ?? next, 8));
    places.push(next);
    next += aligned(data.length);
  }
  const begin = aligned(head.reduce((sum, part) => sum + part.length, 0));
  const file = new Uint8Array(begin + next);
  let at = 0;
  for (const part of head) {
    file.set(part, at);
    at += part.length;
  }
  tensors.forEach(({ data }, i) => file.set(data, begin + places[i]!));
  return file.slice(0, file.length - cut);
}

/** A length and UTF-8. */
export function ggufString(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  return Uint8Array.from([...little(bytes.length, 8), ...bytes]);
}

/** Numbers as blocks of Q8_0: 32 elements, of which the largest becomes ±127. */
export function quantizeQ8(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(values.length / 32 * 34);
  const view = new DataView(bytes.buffer);
  for (let block = 0; block < values.length / 32; block++) {
    const part = values.subarray(block * 32, block * 32 + 32);
    const d = part.reduce((most, x) => Math.max(most, Math.abs(x)), 0) / 127;
    view.setFloat16(block * 34, d, true);
    part.forEach((x, i) => view.setInt8(block * 34 + 2 + i, d ? Math.round(x / d) : 0));
  }
  return bytes;
}

function aligned(n: number): number {
  return Math.ceil(n / ALIGNMENT) * ALIGNMENT;
}
