import { blockDecoders } from "./gguf/blocks.ts";
import { blockOf, type CheckpointDType, type ElementDType, isBlockDType } from "./stored_dtype.ts";

type Numbers = Float32Array<ArrayBuffer>;
type Reader = (buffer: ArrayBuffer, count: number) => Numbers;

/**
 * Numbers of eight bits (Micikevicius et al. 2022, https://arxiv.org/abs/2209.05433): a sign, an exponent and
 * a mantissa, with subnormals. E5M2 has infinities like wider types; E4M3 has none, and of its codes only 7F
 * and FF are NaN, as in torch's float8_e4m3fn.
 */
export type Float8 = "F8_E4M3" | "F8_E5M2";

/** The numbers of all 256 codes of a type. */
export const FLOAT8: Readonly<Record<Float8, Float32Array<ArrayBuffer>>> = {
  F8_E4M3: Float32Array.from({ length: 256 }, (_, code) => numberOf(code, { mantissa: 3, bias: 7 })),
  F8_E5M2: Float32Array.from({ length: 256 }, (_, code) => numberOf(code, { mantissa: 2, bias: 15 })),
};

function numberOf(code: number, { mantissa: bits, bias }: { mantissa: number; bias: number }): number {
  const sign = code & 0x80 ? -1 : 1;
  const exponent = (code & 0x7f) >> bits;
  const fraction = (code & 0x7f) % 2 ** bits / 2 ** bits;
  const last = exponent === 2 ** (7 - bits) - 1;
  if (bits === 3 && last && fraction === 7 / 8) return NaN;
  if (bits === 2 && last) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1 + fraction) * 2 ** (exponent - bias) : fraction * 2 ** (1 - bias));
}

/** Reads elements of each type; those of F64 and of wide integers are rounded to f32. */
const readers: Record<Exclude<ElementDType, "U64">, Reader> = {
  BOOL: (buffer, count) => new Float32Array(new Uint8Array(buffer, 0, count)),
  U8: (buffer, count) => new Float32Array(new Uint8Array(buffer, 0, count)),
  I8: (buffer, count) => new Float32Array(new Int8Array(buffer, 0, count)),
  F8_E4M3: (buffer, count) => lookedUp(new Uint8Array(buffer, 0, count), FLOAT8.F8_E4M3),
  F8_E5M2: (buffer, count) => lookedUp(new Uint8Array(buffer, 0, count), FLOAT8.F8_E5M2),
  U16: (buffer, count) => new Float32Array(new Uint16Array(buffer, 0, count)),
  I16: (buffer, count) => new Float32Array(new Int16Array(buffer, 0, count)),
  F16: (buffer, count) => new Float32Array(new Float16Array(buffer, 0, count)),
  BF16: (buffer, count) => widened(new Uint16Array(buffer, 0, count)),
  U32: (buffer, count) => new Float32Array(new Uint32Array(buffer, 0, count)),
  I32: (buffer, count) => new Float32Array(new Int32Array(buffer, 0, count)),
  F32: (buffer, count) => new Float32Array(buffer, 0, count),
  I64: (buffer, count) => Float32Array.from(new BigInt64Array(buffer, 0, count), Number),
  F64: (buffer, count) => new Float32Array(new Float64Array(buffer, 0, count)),
};

function lookedUp(codes: Uint8Array, table: Numbers): Numbers {
  const numbers = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i++) numbers[i] = table[codes[i]!]!;
  return numbers;
}

/** BF16 as f32: its bits are the upper half. */
function widened(halves: Uint16Array): Numbers {
  const words = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) words[i] = halves[i]! << 16;
  return new Float32Array(words.buffer);
}

/** True where `toFloats` knows the type. */
export function isNumeric(dtype: CheckpointDType): boolean {
  return isBlockDType(dtype) || Object.hasOwn(readers, dtype);
}

/** The elements that Checkpoint.read() gave, as f32. */
export function toFloats(bytes: Uint8Array<ArrayBuffer>, dtype: CheckpointDType): Numbers {
  const block = blockOf(dtype);
  const blocks = bytes.length / block.bytes;
  if (!isBlockDType(dtype)) {
    const read = readers[dtype as keyof typeof readers];
    const buffer = bytes.byteOffset ? bytes.slice().buffer : bytes.buffer;
    return read(buffer, blocks);
  }
  const decode = blockDecoders[dtype];
  const source = { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
  const values = new Float32Array(blocks * block.elements);
  for (let i = 0; i < blocks; i++) decode(source, i * block.bytes, values, i * block.elements);
  return values;
}
