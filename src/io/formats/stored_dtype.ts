/** Types of single elements, by safetensors' names. */
export type ElementDType =
  | "BOOL"
  | "U8"
  | "I8"
  | "F8_E4M3"
  | "F8_E5M2"
  | "U16"
  | "I16"
  | "F16"
  | "BF16"
  | "U32"
  | "I32"
  | "F32"
  | "U64"
  | "I64"
  | "F64";

/** GGUF's types of blocks, in which neighbouring elements share a scale. */
export type BlockDType =
  | "Q4_0"
  | "Q4_1"
  | "Q5_0"
  | "Q5_1"
  | "Q8_0"
  | "Q2_K"
  | "Q3_K"
  | "Q4_K"
  | "Q5_K"
  | "Q6_K";

/** Types of the tensors in checkpoints. */
export type CheckpointDType = ElementDType | BlockDType;

/** The unit in which a type is stored: one element, or a block of several. */
export interface Block {
  /** Elements of a block. */
  readonly elements: number;
  /** Bytes of a block. */
  readonly bytes: number;
}

const elementBytes: Record<ElementDType, number> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
};

const blocks: Record<BlockDType, Block> = {
  Q4_0: { elements: 32, bytes: 18 },
  Q4_1: { elements: 32, bytes: 20 },
  Q5_0: { elements: 32, bytes: 22 },
  Q5_1: { elements: 32, bytes: 24 },
  Q8_0: { elements: 32, bytes: 34 },
  Q2_K: { elements: 256, bytes: 84 },
  Q3_K: { elements: 256, bytes: 110 },
  Q4_K: { elements: 256, bytes: 144 },
  Q5_K: { elements: 256, bytes: 176 },
  Q6_K: { elements: 256, bytes: 210 },
};

/** True where `name` is a type of single elements that can be read. */
export function isElementDType(name: unknown): name is ElementDType {
  return typeof name === "string" && Object.hasOwn(elementBytes, name);
}

/** True where the elements of a type lie in blocks. */
export function isBlockDType(dtype: CheckpointDType): dtype is BlockDType {
  return Object.hasOwn(blocks, dtype);
}

/** The types of single elements that can be read, for messages. */
export function listElementDTypes(): string {
  return Object.keys(elementBytes).join(", ");
}

/** The smallest unit of a type that can be read. */
export function blockOf(dtype: CheckpointDType): Block {
  return isBlockDType(dtype) ? blocks[dtype] : { elements: 1, bytes: elementBytes[dtype] };
}

/** Bytes of `count` elements, a whole number of blocks. */
export function bytesFor(dtype: CheckpointDType, count: number): number {
  const { elements, bytes } = blockOf(dtype);
  return count / elements * bytes;
}

/** Elements in `length` bytes, a whole number of blocks. */
export function elementsIn(dtype: CheckpointDType, length: number): number {
  const { elements, bytes } = blockOf(dtype);
  return length / bytes * elements;
}

/** Bytes of a tensor; undefined where they are more than 2^53, or no whole number of blocks. */
export function tensorBytes(shape: readonly number[], dtype: CheckpointDType): number | undefined {
  let count = 1;
  for (const n of shape) {
    count *= n;
    if (!Number.isSafeInteger(count)) return undefined;
  }
  const bytes = bytesFor(dtype, count);
  return Number.isSafeInteger(bytes) && count % blockOf(dtype).elements === 0 ? bytes : undefined;
}
