import { type DType, isPacked, PACKED_BLOCK, type PackedDType, viewBytes } from "../../core/dtype.ts";
import type { Storage } from "../../gpu/memory/buffers.ts";
import type { Device } from "../../gpu/device.ts";
import type { ValueRange } from "./error.ts";

/** A value's elements in the order of memory; those of packed types as numbers. */
export async function readValues(
  device: Device,
  { buffer, offset }: Storage,
  { dtype, count, bytes }: { readonly dtype: DType; readonly count: number; readonly bytes: number },
): Promise<ArrayLike<number>> {
  const data = await device.read(buffer, offset, Math.ceil(bytes / 4) * 4);
  return isPacked(dtype) ? unpacked(dtype, data, count) : viewBytes(dtype, data, count);
}

/**
 * Elements of a packed type, see shaders/convert/quantize.wgsl: words of two groups of 32, then both scales
 * in f16.
 */
function unpacked(dtype: PackedDType, data: ArrayBuffer, count: number): Float32Array {
  const bits = dtype === "int8" ? 8 : 4;
  const block = PACKED_BLOCK * bits / 8; // bytes in front of the scales
  const bytes = new DataView(data);
  return Float32Array.from({ length: count }, (_, i) => {
    const [first, place] = [Math.floor(i / PACKED_BLOCK) * (block + 4), i % PACKED_BLOCK];
    const scale = bytes.getFloat16(first + block + (place < PACKED_BLOCK / 2 ? 0 : 2), true);
    if (bits === 8) return bytes.getInt8(first + place) / 127 * scale;
    return ((bytes.getUint8(first + (place >> 1)) >> 4 * (place & 1) & 15) - 8) * scale;
  });
}

/** The numbers in short. */
export function rangeOf(values: ArrayLike<number>): ValueRange {
  let [min, max, nan, inf, negativeInf, first] = [Infinity, -Infinity, 0, 0, 0, -1];
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value - value === 0) {
      if (value < min) min = value;
      if (value > max) max = value;
      continue;
    }
    if (first < 0) first = i;
    if (value !== value) nan++;
    else if (value > 0) inf++;
    else negativeInf++;
  }
  return { ...(min <= max ? { min, max } : { min: NaN, max: NaN }), nan, inf, negativeInf, first };
}

/** The largest magnitude of the finite numbers. */
export function largestOf({ min, max }: ValueRange): number {
  return Math.max(Math.abs(min), Math.abs(max));
}

/** A number for people. */
export function numberText(value: number): string {
  if (Number.isFinite(value)) return String(Number(value.toPrecision(6)));
  return Number.isNaN(value) ? "NaN" : value > 0 ? "inf" : "-inf";
}
