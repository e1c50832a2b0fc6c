/** Element types of tensors, in WGSL's words. */
export type DType = "f32" | "f16" | "i32" | "u32";

/** Typed arrays that hold a tensor's elements on the host. */
export type HostArray =
  | Float32Array<ArrayBuffer>
  | Float16Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>;

const arrays = { f32: Float32Array, f16: Float16Array, i32: Int32Array, u32: Uint32Array } as const;

/** Bytes of one element. */
export function bytesOf(dtype: DType): number {
  return arrays[dtype].BYTES_PER_ELEMENT;
}

/** A host array of `dtype` from numbers, rounded as the type rounds. */
export function hostArray(dtype: DType, values: ArrayLike<number>): HostArray {
  return new arrays[dtype](values) as HostArray;
}

/** Views bytes as elements of `dtype`. */
export function viewBytes(dtype: DType, bytes: ArrayBuffer, length: number): HostArray {
  return new arrays[dtype](bytes, 0, length) as HostArray;
}

/** The dtype that holds a host array without loss, e.g. "f32" for a Float32Array. */
export function dtypeOf(data: HostArray): DType {
  if (data instanceof Float32Array) return "f32";
  if (data instanceof Int32Array) return "i32";
  if (data instanceof Uint32Array) return "u32";
  return "f16";
}

/** True for the types that hold fractions. */
export function isFloat(dtype: DType): boolean {
  return dtype === "f32" || dtype === "f16";
}
