import sortKey from "../../shaders/lib/sort_key.wgsl" with { type: "text" };
import { isFloat, storedType } from "../core/dtype.ts";
import { type Snippet, snippet } from "../gpu/shader/snippet.ts";
import { plainType } from "./record.ts";
import type { TensorBase } from "./tensor_base.ts";

/** `key_at`: elements of x as unsigned keys of their order; takes what `sortKeyOf` sets. */
export const SORT_KEY: Snippet = snippet("lib/sort_key", sortKey);

/** What lib/sort_key.wgsl needs to know of x. */
export function sortKeyOf(x: TensorBase): Record<string, string | number> {
  const dtype = plainType(x);
  return {
    X: storedType(dtype),
    T: storedType(dtype === "f16" ? "f32" : dtype),
    FLOAT: `${isFloat(dtype)}`,
    SIGN: dtype === "i32" ? 0x80000000 : 0,
  };
}
