/** Element types that shaders compute with, in WGSL's words. A bool takes a word of memory, which is 0 or 1. */
export type PlainDType = "f32" | "f16" | "i32" | "u32" | "bool";
/** The types as which shaders compute: f16 is only stored. */
export type ValueType = "f32" | "i32" | "u32" | "bool";

/**
 * Weights in whole numbers with a scale for each 32 of them; only products read them
 * (shaders/gemm/operands/w_nk_packed.wgsl).
 */
export type PackedDType = "int8" | "int4";

/** Element types of tensors. */
export type DType = PlainDType | PackedDType;

/** Typed arrays that hold a tensor's elements on the host; a bool tensor's are 0 and 1 in a Uint32Array. */
export type HostArray =
  | Float32Array<ArrayBuffer>
  | Float16Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>;

const arrays = {
  f32: Float32Array,
  f16: Float16Array,
  i32: Int32Array,
  u32: Uint32Array,
  bool: Uint32Array,
} as const;

/** Elements in a block of a packed type: two groups of 32, followed by both scales in one word. */
export const PACKED_BLOCK = 64;

const packedBytes: Record<PackedDType, number> = { int8: 64 + 4, int4: 32 + 4 }; // of a block

/** Bytes of one element; a packed type's times its share of the scales, whole for whole blocks. */
export function bytesOf(dtype: DType): number {
  return isPacked(dtype) ? packedBytes[dtype] / PACKED_BLOCK : arrays[dtype].BYTES_PER_ELEMENT;
}

/** True for the types that only products read. */
export function isPacked(dtype: DType): dtype is PackedDType {
  return dtype in packedBytes;
}

/** A host array of `dtype` from numbers, rounded as the type rounds. */
export function hostArray(dtype: PlainDType, values: ArrayLike<number>): HostArray {
  if (dtype === "bool") return Uint32Array.from(values, (value) => Number(value) === 0 ? 0 : 1);
  return new arrays[dtype](values) as HostArray;
}

/** Views bytes as elements of `dtype`. */
export function viewBytes(dtype: PlainDType, bytes: ArrayBuffer, length: number): HostArray {
  return new arrays[dtype](bytes, 0, length) as HostArray;
}

/** The dtype that holds a host array without loss, e.g. "f32" for a Float32Array. */
export function dtypeOf(data: HostArray): PlainDType {
  if (data instanceof Float32Array) return "f32";
  if (data instanceof Int32Array) return "i32";
  if (data instanceof Uint32Array) return "u32";
  return "f16";
}

/** True for the types that hold fractions. */
export function isFloat(dtype: DType): boolean {
  return dtype === "f32" || dtype === "f16";
}

/** A type that shaders compute with; throws for other words. */
export function expectPlain(dtype: string): PlainDType {
  if (Object.hasOwn(arrays, dtype)) return dtype as PlainDType;
  throw new TypeError(`Cannot make a tensor of ${dtype}: expected one of ${Object.keys(arrays).join(", ")}`);
}

/** The type of a tensor's elements in a shader's storage. */
export function storedType(dtype: DType): DType {
  return dtype === "bool" ? "u32" : dtype;
}

/** The type as which a shader computes with a tensor's elements. */
export function valueType(dtype: PlainDType): ValueType {
  return dtype === "f16" ? "f32" : dtype;
}

/** A tensor or a number, of which the type of a result is found. */
export interface Typed {
  readonly dtype: PlainDType;
  /** Number of axes; -1 for a plain number. */
  readonly rank: number;
}

const ORDER: readonly PlainDType[] = ["bool", "u32", "i32", "f16", "f32"];
const kindOf = (dtype: PlainDType) => dtype === "bool" ? 0 : isFloat(dtype) ? 2 : 1;

/**
 * The type of the result of operands of several types, as torch finds it: bool, then integers, then floats; a tensor
 * without axes decides only where it is of a higher one of these kinds than the others, and a number likewise
 * against all tensors (https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc).
 */
export function promote(operands: readonly Typed[]): PlainDType {
  const highest: (PlainDType | undefined)[] = [undefined, undefined, undefined]; // of axes, without axes, of numbers
  for (const { dtype, rank } of operands) {
    const among = rank > 0 ? 0 : rank === 0 ? 1 : 2;
    const known = highest[among];
    if (!known || ORDER.indexOf(dtype) > ORDER.indexOf(known)) highest[among] = dtype;
  }
  return highest.filter((dtype) => dtype !== undefined).reduce((a, b) => kindOf(b) > kindOf(a) ? b : a);
}
