import { nameOfKind } from "../core/error.ts";
import { formatShape } from "../core/shape.ts";
import { Tensor } from "../tensor/mod.ts";

/** Throws unless an input has the shape; a name stands for any size. */
export function expectInput(
  name: string,
  x: Tensor,
  expected: readonly (number | string)[],
): void {
  if (!(x instanceof Tensor)) {
    throw new TypeError(
      `Cannot use ${name}: expected a tensor [${expected.join(", ")}], got ${nameOfKind(x)}`,
    );
  }
  const { shape } = x;
  const fits = shape.length === expected.length &&
    shape.every((n, axis) => typeof expected[axis] === "string" || n === expected[axis]);
  if (fits) return;
  throw new RangeError(
    `Cannot use ${name}: expected shape [${expected.join(", ")}], got ${formatShape(shape)}`,
  );
}
