import { expectOptions } from "../core/error.ts";
import { linspaceF32 } from "../core/math.ts";
import { isFloat, type PlainDType } from "../core/dtype.ts";
import { type CreateOptions, tensor } from "./create.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Numbers from `start` (0 where only the end is given) up to but without `end`, as torch.arange: i32 where all three are
 * whole, else f32.
 */
export function arange(start: number, end?: number, step = 1, options: CreateOptions = {}): Tensor {
  expectOptions("make a tensor", options, ["dtype"]);
  const { dtype } = options;
  const [first, last] = end === undefined ? [0, start] : [start, end];
  if (![first, last, step].every(Number.isFinite) || step === 0 || (last - first) / step < 0) {
    throw new RangeError(
      `Cannot count from ${first} to ${last} by ${step}: expected finite bounds and a step that leads from one to the other`,
    );
  }
  const type: PlainDType = dtype ?? ([first, last, step].every(Number.isInteger) ? "i32" : "f32");
  const values = Float64Array.from({ length: Math.ceil((last - first) / step) }, (_, i) => first + i * step);
  return tensor(isFloat(type) ? values : values.map(Math.trunc), { dtype: type });
}

/** `steps` numbers from `start` to `end` in equal distances, both among them, as torch.linspace: f32. */
export function linspace(start: number, end: number, steps: number, options: CreateOptions = {}): Tensor {
  expectOptions("make a tensor", options, ["dtype"]);
  const { dtype } = options;
  if (!Number.isInteger(steps) || steps < 0) {
    throw new RangeError(
      `Cannot divide ${start} to ${end}: expected a whole number of steps from 0, got ${steps}`,
    );
  }
  const values = linspaceF32(start, end, steps);
  return tensor(dtype === undefined || isFloat(dtype) ? values : values.map(Math.trunc), { dtype });
}

/** A matrix with ones on its diagonal, else zeros: [n, m], where m is n unless it is given. */
export function eye(n: number, m: number | undefined = n, options: CreateOptions = {}): Tensor {
  expectOptions("make a tensor", options, ["dtype"]);
  return arange(n).unsqueeze(1).eq(arange(m)).to(options.dtype ?? "f32");
}

/**
 * Grids of coordinates: the i-th result varies along the i-th axis as the i-th tensor does, the axes being in the order of
 * the tensors ("ij") or with the first two swapped ("xy"), as torch.meshgrid. tensors [Nᵢ] → [N₀, N₁, …] each.
 */
export function meshgrid(
  tensors: readonly Tensor[],
  options: { indexing?: "ij" | "xy" | undefined } = {},
): Tensor[] {
  expectOptions("make a grid", options, ["indexing"]);
  const { indexing = "ij" } = options;
  const odd = tensors.find((t) => t.rank > 1);
  if (odd) throw new RangeError(`Cannot make a grid of ${odd}: expected tensors of one axis`);
  if (indexing === "xy" && tensors.length > 1) {
    const [x, y, ...rest] = tensors as [Tensor, Tensor, ...Tensor[]];
    const [b, a, ...others] = meshgrid([y, x, ...rest]) as [Tensor, Tensor, ...Tensor[]];
    return [a, b, ...others];
  }
  const shape = tensors.map((t) => t.size);
  return tensors.map((t, i) => t.reshape(shape.map((n, axis) => axis === i ? n : 1)).expand(shape));
}
