import values1 from "../../shaders/lib/values_1.wgsl" with { type: "text" };
import values4 from "../../shaders/lib/values_4.wgsl" with { type: "text" };
import type { SourcePart } from "../gpu/pipelines.ts";

/** The snippet through which a kernel reads x: four values at a time where all `numbers` are multiples of 4. */
export function valuesOf(...numbers: readonly number[]): { part: SourcePart; width: 1 | 4 } {
  const whole = numbers.every((n) => n % 4 === 0);
  return whole
    ? { part: { name: "shaders/lib/values_4.wgsl", text: values4 }, width: 4 }
    : { part: { name: "shaders/lib/values_1.wgsl", text: values1 }, width: 1 };
}
