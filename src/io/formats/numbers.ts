import { FLOAT8 } from "./float8.ts";
import { plainBlocks } from "./gguf/blocks.ts";
import { kBlocks } from "./gguf/k_blocks.ts";
import { blockOf, type CheckpointDType, type ElementDType, isBlockDType } from "./stored_dtype.ts";

type Numbers = Float32Array<ArrayBuffer>;
type Reader = (buffer: ArrayBuffer, count: number) => Numbers;

/** Elements of each type as numbers; those of F64 and of wide integers are rounded to f32. */
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

/** The upper halves of F32. */
function widened(halves: Uint16Array): Numbers {
  const words = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) words[i] = halves[i]! << 16;
  return new Float32Array(words.buffer);
}

/** True where `toFloats` knows the type. */
export function isNumeric(dtype: CheckpointDType): boolean {
  return isBlockDType(dtype) || Object.hasOwn(readers, dtype);
}

/** What Checkpoint.read() gave of a tensor, as numbers. */
export function toFloats(bytes: Uint8Array<ArrayBuffer>, dtype: CheckpointDType): Numbers {
  const block = blockOf(dtype);
  const blocks = bytes.length / block.bytes;
  if (!isBlockDType(dtype)) {
    const read = readers[dtype as keyof typeof readers];
    const buffer = bytes.byteOffset ? bytes.slice().buffer : bytes.buffer;
    return read(buffer, blocks);
  }
  const decode = { ...plainBlocks, ...kBlocks }[dtype];
  const source = { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
  const values = new Float32Array(blocks * block.elements);
  for (let i = 0; i < blocks; i++) decode(source, i * block.bytes, values, i * block.elements);
  return values;
}
