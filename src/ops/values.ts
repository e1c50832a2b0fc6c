import values1 from "../../shaders/lib/values_1.wgsl" with { type: "text" };
import values2 from "../../shaders/lib/values_2.wgsl" with { type: "text" };
import values4 from "../../shaders/lib/values_4.wgsl" with { type: "text" };
import { isFloat, isPacked } from "../core/dtype.ts";
import { type Snippet, snippet, type Tensor } from "../tensor/mod.ts";

const VALUES = {
  1: snippet("lib/values_1", values1),
  2: snippet("lib/values_2", values2),
  4: snippet("lib/values_4", values4),
};

/** Throws where x is of whole numbers: the snippets read it as f32. */
export function expectFloat(kernel: string, x: Tensor): void {
  if (isFloat(x.dtype) || isPacked(x.dtype)) return;
  throw new TypeError(`Cannot run ${kernel} on ${x}: expected f32 or f16; cast it with to("f32")`);
}

/** A snippet through which a kernel reads x, and how many values it reads at a time. */
export interface Values<Width> {
  readonly part: Snippet;
  readonly width: Width;
}

/** Four values at a time where all `numbers` are multiples of 4, else one. */
export function valuesOf(...numbers: readonly number[]): Values<1 | 4> {
  const width = numbers.every((n) => n % 4 === 0) ? 4 : 1;
  return { part: VALUES[width], width };
}

/** Four, two or one value at a time: as many as divide all `numbers`. */
export function pairsOrValuesOf(...numbers: readonly number[]): Values<1 | 2 | 4> {
  const width = ([4, 2, 1] as const).find((width) => numbers.every((n) => n % width === 0))!;
  return { part: VALUES[width], width };
}
