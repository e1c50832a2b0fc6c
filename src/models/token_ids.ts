import { nameOfKind } from "../core/error.ts";

/** Texts as one list of ids, and how many rows [B] of how many ids [N] it holds. */
export interface TokenIds {
  readonly ids: number[];
  readonly B: number;
  readonly N: number;
}

/** Checks rows of ids [B, N] for a table of `vocabulary` rows. */
export function tokenIds(rows: readonly (readonly number[])[], vocabulary: number): TokenIds {
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
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabulary);
  if (wrong !== undefined) {
    throw new RangeError(
      `Cannot encode token ${wrong}: expected a whole number from 0 to ${vocabulary - 1}; ` +
        "the tokenizer is of another model",
    );
  }
  return { ids, B, N };
}
