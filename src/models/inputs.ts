import { nameOfKind } from "../core/error.ts";
import { formatShape } from "../core/shape.ts";
import { Tensor, tensor } from "../tensor/mod.ts";

/**
 * Throws unless an input has the shape; a name stands for any size. `action` is what the caller does with it,
 * e.g. "use textEmbeds".
 */
export function expectInput(action: string, x: Tensor, expected: readonly (number | string)[]): void {
  const isTensor = x instanceof Tensor;
  const fits = isTensor && x.rank === expected.length &&
    x.shape.every((n, axis) => typeof expected[axis] === "string" || n === expected[axis]);
  if (fits) return;
  const shape = `[${expected.join(", ")}]`;
  if (isTensor) {
    throw new RangeError(`Cannot ${action}: expected shape ${shape}, got ${formatShape(x.shape)}`);
  }
  throw new TypeError(`Cannot ${action}: expected a tensor ${shape}, got ${nameOfKind(x)}`);
}

/** One number for each row of the sample, where one may stand for all; `name` is "timestep", "guidance", … */
export function onePerRow(name: string, values: number | readonly number[], B: number): number[] {
  const list: unknown = typeof values === "number" ? new Array<number>(B).fill(values) : values;
  if (!Array.isArray(list) || !list.every(Number.isFinite)) {
    const odd = Array.isArray(list) ? list.find((value) => !Number.isFinite(value)) : list;
    throw new TypeError(
      `Cannot denoise: expected a ${name} as a number, or a list of them, got ${nameOfKind(odd)}`,
    );
  }
  if (list.length === B) return [...list];
  throw new RangeError(
    `Cannot denoise: expected one ${name}, or ${B} as there are rows in the sample, got ${list.length}`,
  );
}

/** Rows of a table by their numbers, from 0 to `count` - 1. → i32 [ids] */
export function idsInput(name: string, ids: readonly number[], count: number): Tensor {
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= count);
  if (wrong !== undefined) {
    throw new RangeError(`Cannot use ${name} ${wrong}: expected a whole number from 0 to ${count - 1}`);
  }
  return tensor(ids, [ids.length], { dtype: "i32" });
}

/**
 * Checks texts as rows of ids [B, N], for a table of `vocabulary` rows, or for those that `isKnown`; returns them as
 * one list.
 */
export function tokenIds(
  rows: readonly (readonly number[])[],
  vocabulary: number,
  isKnown: (id: number) => boolean = (id) => Number.isInteger(id) && id >= 0 && id < vocabulary,
): { ids: number[]; B: number; N: number } {
  if (!Array.isArray(rows) || !rows.every(Array.isArray)) {
    const advice = Object.hasOwn(Object(rows), "inputIds") ? "; take its inputIds" : "";
    const got = Array.isArray(rows)
      ? `a list of ${nameOfKind(rows.find((row) => !Array.isArray(row)))}`
      : nameOfKind(rows);
    throw new TypeError(
      `Cannot encode texts: expected rows of ids, as a tokenizer's inputIds, got ${got}${advice}`,
    );
  }
  const [B, N] = [rows.length, rows[0]?.length ?? 0];
  const uneven = rows.find((row) => row.length !== N);
  if (N === 0 || uneven) {
    const got = uneven ? `${N} and ${uneven.length}` : "none";
    throw new RangeError(`Cannot encode texts: expected ids in rows of one length, got ${got}; pad the rows`);
  }
  const ids = rows.flat();
  const wrong = ids.find((id) => !isKnown(id));
  if (wrong !== undefined) {
    throw new RangeError(
      `Cannot encode token ${wrong}: expected a whole number from 0 to ${vocabulary - 1}; ` +
        "the tokenizer is of another model",
    );
  }
  return { ids, B, N };
}

/** Added to scores that do not count: the lowest f32, as in transformers; a row of nothing else stays finite. */
export const MASKED = -3.4028234663852886e38;

/** Checks a mask of texts [B, N]: 1 for tokens that count, 0 for those that fill rows up; returns it as one list. */
export function expectMask(rows: readonly (readonly number[])[], B: number, N: number): number[] {
  const fits = rows.length === B && rows.every((row) => row.length === N);
  const values = rows.flat();
  const wrong = values.find((value) => value !== 0 && value !== 1);
  if (fits && wrong === undefined) return values;
  const got = fits ? `${wrong}` : `${rows.length} rows of ${rows[0]?.length ?? 0}`;
  throw new RangeError(`Cannot mask texts: expected ${B} rows of ${N} ones and zeros, got ${got}`);
}
