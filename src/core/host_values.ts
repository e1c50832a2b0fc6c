import { type HostArray, hostArray, type PlainDType } from "./dtype.ts";
import { formatShape } from "./shape.ts";

/** Values on the host, in row-major order: a list, or a typed array of any kind. */
export type Values =
  | Float32Array
  | Float16Array
  | Int32Array
  | Uint32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | BigInt64Array
  | BigUint64Array
  | readonly (number | boolean | bigint)[];

/** One value, or lists of lists of one length each. */
export type NestedValues = number | boolean | bigint | readonly NestedValues[];

/** Types that typed arrays have as tensors. */
const TYPES: readonly [{ new (length: number): ArrayLike<number | bigint> }, PlainDType][] = [
  [Float32Array, "f32"],
  [Float16Array, "f16"],
  [Int32Array, "i32"],
  [Uint32Array, "u32"],
  [Float64Array, "f32"],
  [Uint8Array, "i32"],
  [Uint8ClampedArray, "i32"],
  [Int8Array, "i32"],
  [Int16Array, "i32"],
  [Uint16Array, "i32"],
  [BigInt64Array, "i32"],
  [BigUint64Array, "i32"],
];

/** Values one after the other, with the shape in which they were nested and the type that they have as a tensor. */
export interface FlatValues {
  readonly values: ArrayLike<number | boolean | bigint>;
  readonly shape: number[];
  readonly dtype: PlainDType;
}

/** Takes nested lists apart. Throws where lists side by side differ in length. */
export function unnested(data: Values | NestedValues): FlatValues {
  const typed = TYPES.find(([Type]) => data instanceof Type);
  if (typed) {
    const values = data as ArrayLike<number | bigint>;
    return { values, shape: [values.length], dtype: typed[1] };
  }
  const shape: number[] = [];
  for (let list: unknown = data; Array.isArray(list); list = list[0]) shape.push(list.length);
  let level = [data] as readonly unknown[];
  for (const n of shape) {
    const odd = level.find((list) => !Array.isArray(list) || list.length !== n);
    if (odd !== undefined) {
      const got = Array.isArray(odd) ? `a list of ${odd.length}` : spelled(odd);
      throw new RangeError(`Cannot make a tensor ${formatShape(shape)}: expected lists of ${n}, got ${got}`);
    }
    level = level.length === 1 ? level[0] as unknown[] : level.flat();
  }
  return { values: level as (number | boolean | bigint)[], shape, dtype: typeOf(level) };
}

/** The type of a list: numbers count for more than bigints, and these than booleans. */
function typeOf(list: readonly unknown[]): PlainDType {
  let booleans = 0;
  let bigints = 0;
  for (const value of list) {
    if (typeof value === "boolean") booleans++;
    else if (typeof value === "bigint") bigints++;
    else if (typeof value !== "number") {
      throw new TypeError(
        `Cannot make a tensor: expected numbers, booleans or bigints, got ${spelled(value)}`,
      );
    }
  }
  if (list.length === 0 || booleans + bigints < list.length) return "f32";
  return bigints > 0 ? "i32" : "bool";
}

function spelled(value: unknown): string {
  if (ArrayBuffer.isView(value)) return `a ${value.constructor.name}`;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

const RANGES = { i32: [-(2 ** 31), 2 ** 31 - 1], u32: [0, 2 ** 32 - 1] } as const;

/** A host array of `dtype`: floats are rounded, and what is no whole number of the type's range is refused. */
export function exactArray(dtype: PlainDType, values: ArrayLike<number | boolean | bigint>): HostArray {
  if (dtype === "i32" || dtype === "u32") {
    const [low, high] = RANGES[dtype];
    for (let i = 0; i < values.length; i++) {
      const value = Number(values[i]);
      if (Number.isInteger(value) && value >= low && value <= high) continue;
      throw new RangeError(
        `Cannot make a tensor of ${dtype}: expected whole numbers from ${low} to ${high}, got ${values[i]}`,
      );
    }
  }
  const same = dtype === "f32" && values instanceof Float32Array ||
    dtype === "f16" && values instanceof Float16Array ||
    dtype === "i32" && values instanceof Int32Array || dtype === "u32" && values instanceof Uint32Array;
  if (same) return values as HostArray;
  const big = values instanceof BigInt64Array || values instanceof BigUint64Array ||
    Array.isArray(values) && values.some((value) => typeof value === "bigint");
  return hostArray(dtype, big ? Float64Array.from(values, Number) : values as ArrayLike<number>);
}
