/** Element types that shaders compute with or move, in WGSL's words. */
export type PlainDType = "f32" | "f16" | "i32" | "u32";

/**
 * Weights in whole numbers with a scale for each 32 of them; only products read them
 * (shaders/lib/gemm_w_nk_packed.wgsl).
 */
export type PackedDType = "int8" | "int4";

/** Element types of tensors. */
export type DType = PlainDType | PackedDType;

/** Typed arrays that hold a tensor's elements on the host. */
export type HostArray =
  | Float32Array<ArrayBuffer>
  | Float16Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>;

const arrays = { f32: Float32Array, f16: Float16Array, i32: Int32Array, u32: Uint32Array } as const;

/** Elements of a packed type that lie together: two groups of 32, then both scales in one word. */
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
