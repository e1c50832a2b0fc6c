import { toFloats } from "../formats/numbers.ts";
import type { CheckpointDType } from "../formats/stored_dtype.ts";

/** Types that the host brings to f32 and f16 as fast as it reads them. */
export type HostDType = "F32" | "F16" | "BF16";

/** True for those types. */
export function isHostDType(dtype: CheckpointDType): dtype is HostDType {
  return dtype === "F32" || dtype === "F16" || dtype === "BF16";
}

/** A value is NaN or infinite. */
export const NOT_FINITE = 1;
/** A finite value is beyond the largest of the type that it is brought to. */
export const TOO_LARGE = 2;

/** Infinity of each stored type, and the largest number of f16, as bits without a sign. */
const INFINITY: Record<HostDType, number> = { F32: 0x7f800000, F16: 0x7c00, BF16: 0x7f80 };
const F16_MAX: Record<HostDType, number> = { F32: 0x477fe000, F16: 0x7bff, BF16: 0x477f };

/** What was found in the values of a piece: NOT_FINITE, TOO_LARGE, both or none. */
export function checkOnHost(bytes: Uint8Array<ArrayBuffer>, from: HostDType, to: "f32" | "f16"): number {
  const infinity = INFINITY[from];
  const most = to === "f16" ? F16_MAX[from] : infinity - 1;
  const pairs = view(Int32Array, bytes); // of f16, or one F32 each; words without a sign take twice as long
  if (from === "F32") return found(pairs, 0x7fffffff, most, infinity);
  for (let i = 0; i < pairs.length; i++) { // neither of which is odd, nearly always
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

/** How a piece lies in its file, [O, I, T], to be [O, T, I] in memory. */
export interface Order {
  readonly inputs: number;
  readonly taps: number;
}

/**
 * Writes the elements of a piece as `to`, the taps of a convolution outermost. Shaders of a software adapter take four times
 * the CPU's time for it, as they load and store element by element.
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

function move<A extends Uint32Array | Uint16Array | Float32Array | Float16Array>(
  source: A,
  target: A | Float16Array,
  { inputs, taps }: Order,
): void {
  const row = inputs * taps;
  for (let first = 0; first < source.length; first += row) {
    for (let tap = 0; tap < taps; tap++) {
      const end = first + (tap + 1) * inputs;
      for (let to = end - inputs, from = first + tap; to < end; to++, from += taps) {
        target[to] = source[from]!;
      }
    }
  }
}

/** The same with a table of all values. */
function lookUp(
  source: Uint16Array,
  target: Uint32Array | Uint16Array,
  table: Uint32Array | Uint16Array,
  { inputs, taps }: Order,
): void {
  const row = inputs * taps;
  for (let first = 0; first < source.length; first += row) {
    for (let tap = 0; tap < taps; tap++) {
      const end = first + (tap + 1) * inputs;
      for (let to = end - inputs, from = first + tap; to < end; to++, from += taps) {
        target[to] = table[source[from]!]!;
      }
    }
  }
}

const tables = new Map<string, Uint32Array | Uint16Array>();

/** The bits of all 65,536 numbers of a type as those of another. */
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

/** Bytes as elements; they begin where such an element may. */
function view<A>(
  Lanes: { new (buffer: ArrayBuffer, offset: number, length: number): A; BYTES_PER_ELEMENT: number },
  { buffer, byteOffset, length }: Uint8Array<ArrayBuffer>,
): A {
  return new Lanes(buffer, byteOffset, Math.floor(length / Lanes.BYTES_PER_ELEMENT));
}
