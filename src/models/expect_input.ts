import { formatShape } from "../core/shape.ts";
import type { Tensor } from "../tensor/mod.ts";

/** Throws unless an input has the shape; a name stands for any size. */
export function expectInput(
  name: string,
  { shape }: Tensor,
  expected: readonly (number | string)[],
): void {
  const fits = shape.length === expected.length &&
    shape.every((n, axis) => typeof expected[axis] === "string" || n === expected[axis]);
  if (fits) return;
  throw new RangeError(
    `Cannot use ${name}: expected shape [${expected.join(", ")}], got ${formatShape(shape)}`,
  );
}
