import values1 from "../../shaders/lib/values_1.wgsl" with { type: "text" };
import values4 from "../../shaders/lib/values_4.wgsl" with { type: "text" };
import { type Snippet, snippet } from "../tensor/mod.ts";

const VALUES = { 1: snippet("lib/values_1", values1), 4: snippet("lib/values_4", values4) };

/** The snippet through which a kernel reads x: four values at a time where all `numbers` are multiples of 4. */
export function valuesOf(...numbers: readonly number[]): { part: Snippet; width: 1 | 4 } {
  const width = numbers.every((n) => n % 4 === 0) ? 4 : 1;
  return { part: VALUES[width], width };
}
