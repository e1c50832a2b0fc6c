import { toFloats } from "../formats/numbers.ts";
import type { CheckpointDType } from "../formats/stored_dtype.ts";

/** Types that the host converts to f32 and f16 as fast as it reads them. */
export type HostDType = "F32" | "F16" | "BF16";

/** True for these types. */
export function isHostDType(dtype: CheckpointDType): dtype is HostDType {
  return dtype === "F32" || dtype === "F16" || dtype === "BF16";
}

/** Flag: a value is NaN or infinite. */
export const NOT_FINITE = 1;
/** Flag: a finite value is beyond the largest number of the type that it is converted to. */
export const TOO_LARGE = 2;

/** Infinity, and the largest number of f16, as bits of each stored type without the sign. */
const INFINITY: Record<HostDType, number> = { F32: 0x7f800000, F16: 0x7c00, BF16: 0x7f80 };
const F16_MAX: Record<HostDType, number> = { F32: 0x477fe000, F16: 0x7bff, BF16: 0x477f };

/** Looks for values that are NOT_FINITE or TOO_LARGE; returns these flags. */
export function checkOnHost(bytes: Uint8Array<ArrayBuffer>, from: HostDType, to: "f32" | "f16"): number {
  const infinity = INFINITY[from];
  const most = to === "f16" ? F16_MAX[from] : infinity - 1;
  const pairs = view(Int32Array, bytes); // two of 16 bits each, or one F32; Uint32Array takes twice as long
  if (from === "F32") return found(pairs, 0x7fffffff, most, infinity);
  for (let i = 0; i < pairs.length; i++) { // nearly always there is nothing to be found
    const pair = pairs[i]!;
    if ((pair & 0x7fff) > most || ((pair >>> 16) & 0x7fff) > most) {
      return found(halves(bytes), 0x7fff, most, infinity);
    }
  }
  return found(halves(bytes).subarray(2 * pairs.length), 0x7fff, most, infinity);
}

function found(
  lanes: Int32Array | Uint16Array,
  magnitude: number,
  most: number,
  infinity: number,
): number {
  let flags = 0;
  for (let i = 0; i < lanes.length; i++) {
    const bits = lanes[i]! & magnitude;
    if (bits > most) flags |= bits >= infinity ? NOT_FINITE : TOO_LARGE;
  }
  return flags;
}

/** The sizes of a convolution: its weights are [outputs, inputs, taps] in files, [outputs, taps, inputs] in memory. */
export interface Order {
  readonly inputs: number;
  readonly taps: number;
}

/**
 * Converts a piece to the type `to` and to the order of memory. On a software adapter this takes a quarter of
 * the time of a shader, which loads and stores element by element.
 */
export function convertOnHost(
  source: Uint8Array<ArrayBuffer>,
  from: HostDType,
  target: Uint8Array<ArrayBuffer>,
  to: "f32" | "f16",
  order: Order,
): void {
  if (from === "F32") {
    if (to === "f32") move(words(source), words(target), order);
    else move(view(Float32Array, source), view(Float16Array, target), order);
  } else if (from === "F16" && to === "f16") move(halves(source), halves(target), order);
  else lookUp(halves(source), to === "f32" ? words(target) : halves(target), tableOf(from, to), order);
}

function move(
  source: Uint32Array | Uint16Array | Float32Array,
  target: Uint32Array | Uint16Array | Float16Array,
  order: Order,
): void {
  eachRow(source.length, order, (to, from, count, step) => {
    for (let i = 0; i < count; i++, from += step) target[to + i] = source[from]!;
  });
}

/** The same through a table of all values of a type. */
function lookUp(
  source: Uint16Array,
  target: Uint32Array | Uint16Array,
  table: Uint32Array | Uint16Array,
  order: Order,
): void {
  eachRow(source.length, order, (to, from, count, step) => {
    for (let i = 0; i < count; i++, from += step) target[to + i] = table[source[from]!]!;
  });
}

/** Calls `write` for each run of elements that are adjacent in `target` and `step` apart in `source`. */
function eachRow(
  length: number,
  { inputs, taps }: Order,
  write: (to: number, from: number, count: number, step: number) => void,
): void {
  if (taps === 1) return write(0, 0, length, 1);
  for (let first = 0; first < length; first += inputs * taps) {
    for (let tap = 0; tap < taps; tap++) write(first + tap * inputs, first + tap, inputs, taps);
  }
}

const tables = new Map<string, Uint32Array | Uint16Array>();

/** The bits of all 65,536 numbers of a type, converted to another type. */
function tableOf(from: "F16" | "BF16", to: "f32" | "f16"): Uint32Array | Uint16Array {
  const key = `${from} ${to}`;
  let table = tables.get(key);
  if (!table) {
    const codes = Uint16Array.from({ length: 1 << 16 }, (_, code) => code);
    const numbers = toFloats(new Uint8Array(codes.buffer), from);
    table = to === "f32"
      ? new Uint32Array(numbers.buffer)
      : new Uint16Array(new Float16Array(numbers).buffer);
    tables.set(key, table);
  }
  return table;
}

function words(bytes: Uint8Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  return view(Uint32Array, bytes);
}

function halves(bytes: Uint8Array<ArrayBuffer>): Uint16Array<ArrayBuffer> {
  return view(Uint16Array, bytes);
}

/** Bytes as elements; the bytes are aligned for them. */
function view<A>(
  Lanes: { new (buffer: ArrayBuffer, offset: number, length: number): A; BYTES_PER_ELEMENT: number },
  { buffer, byteOffset, length }: Uint8Array<ArrayBuffer>,
): A {
  return new Lanes(buffer, byteOffset, Math.floor(length / Lanes.BYTES_PER_ELEMENT));
}
