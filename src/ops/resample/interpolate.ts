import code from "../../../shaders/resample.wgsl" with { type: "text" };
import type { DType } from "../../core/dtype.ts";
import { expectOptions } from "../../core/error.ts";
import { contiguousStrides, formatShape, size as sizeOf } from "../../core/shape.ts";
import { ELEMENT_MAIN, recordKernel, snippet, type Tensor, tensor } from "../../tensor/mod.ts";
import { type ResampleRule, resampleTable } from "./tables.ts";
import { expectFloat, valuesOf } from "../values.ts";

const RESAMPLE = snippet("resample", code, [ELEMENT_MAIN]);

/** Modes of interpolation, by torch's names, which differ with the number of axes. */
export type InterpolateMode =
  | "nearest"
  | "nearest-exact"
  | "linear"
  | "bilinear"
  | "trilinear"
  | "bicubic"
  | "lanczos"
  | "area";

/** Options of `interpolate`: the new size, or a factor. */
export interface InterpolateOptions {
  /** Size of the axes behind the channels, in pixels; one number for all. */
  size?: number | readonly number[] | undefined;
  /** Factors on the same axes; sizes are rounded down. */
  scaleFactor?: number | readonly number[] | undefined;
  /** "nearest" by default; "linear", "bilinear" and "trilinear" are for one, two and three axes. */
  mode?: InterpolateMode | undefined;
  /** Corners stay corners, instead of edges edges. Linear and cubic modes only. */
  alignCorners?: boolean | undefined;
  /** Positions follow the sizes, rounded as they are, instead of `scaleFactor`. */
  recomputeScaleFactor?: boolean | undefined;
  /** Averages over all pixels when a picture gets smaller, as PIL does. For bilinear and bicubic; required for lanczos. */
  antialias?: boolean | undefined;
}

const OPTIONS = [
  "size",
  "scaleFactor",
  "mode",
  "alignCorners",
  "recomputeScaleFactor",
  "antialias",
] satisfies (keyof InterpolateOptions)[];

const KINDS: Record<InterpolateMode, { kind: ResampleRule["kind"]; axes: readonly number[] }> = {
  nearest: { kind: "nearest", axes: [1, 2, 3] },
  "nearest-exact": { kind: "nearest-exact", axes: [1, 2, 3] },
  area: { kind: "area", axes: [1, 2, 3] },
  linear: { kind: "linear", axes: [1] },
  bilinear: { kind: "linear", axes: [2] },
  trilinear: { kind: "linear", axes: [3] },
  bicubic: { kind: "cubic", axes: [2] },
  lanczos: { kind: "lanczos", axes: [2] },
};

/**
 * Another size of the axes behind the channels, as torch.nn.functional.interpolate. x [B, C, L], [B, C, H, W] or
 * [B, C, D, H, W] → [B, C, ...size]. One axis after the other, each one dispatch.
 */
export function interpolate(x: Tensor, options: InterpolateOptions = {}): Tensor {
  expectOptions("interpolate", options, OPTIONS);
  const { mode = "nearest", alignCorners, antialias = false, recomputeScaleFactor = false } = options;
  const [from, factors] = [x.shape.slice(2), factorsOf(x, options)];
  const to = sizesOf(x, options, factors);
  const refuse = (expected: string, got: unknown) => {
    throw new RangeError(`Cannot interpolate ${x}: expected ${expected}, got ${got}`);
  };
  const entry = KINDS[mode];
  if (!entry) refuse(`a mode of ${Object.keys(KINDS).join(", ")}`, mode);
  const { kind, axes } = entry;
  if (!axes.includes(from.length)) {
    refuse(`${axes.join(", ")} axes behind the channels for ${mode}`, from.length);
  }
  const smooth = ["linear", "cubic", "lanczos"].includes(kind);
  if (alignCorners !== undefined && !smooth) refuse("alignCorners with a linear or cubic mode", mode);
  if (antialias && !(smooth && from.length === 2)) {
    refuse("antialias with bilinear, bicubic or lanczos", mode);
  }
  if (kind === "lanczos" && !antialias) refuse("antialias with lanczos", antialias);
  if (![...from, ...to].every((n) => Number.isInteger(n) && n > 0)) refuse("sizes from 1", formatShape(to));

  const rules = to.map((m, axis): ResampleRule => {
    // torch takes the nearest of pictures by their sizes where these are equal or double, whatever the factor.
    const simple = kind === "nearest" && to.length === 2 && [1, 2].includes(m / from[axis]!);
    const factor = recomputeScaleFactor || simple ? undefined : factors?.[axis];
    return { kind, alignCorners: alignCorners ?? false, antialias, factor };
  });
  return resampled(x, to, rules);
}

function factorsOf({ shape }: Tensor, { scaleFactor }: InterpolateOptions): number[] | undefined {
  if (scaleFactor === undefined) return undefined;
  return typeof scaleFactor === "number" ? shape.slice(2).map(() => scaleFactor) : [...scaleFactor];
}

function sizesOf(x: Tensor, { size }: InterpolateOptions, factors: number[] | undefined): number[] {
  const from = x.shape.slice(2);
  if ((size === undefined) === (factors === undefined)) {
    throw new RangeError(
      `Cannot interpolate ${x}: expected a size or a scaleFactor, got ${
        size === undefined ? "none" : "both"
      }`,
    );
  }
  const given = factors ?? (typeof size === "number" ? from.map(() => size) : [...size!]);
  if (given.length !== from.length) {
    throw new RangeError(
      `Cannot interpolate ${x}: expected ${from.length} numbers, one for each axis behind the channels, got ${
        formatShape(given)
      }`,
    );
  }
  return factors ? from.map((n, axis) => Math.floor(n * factors[axis]!)) : given;
}

/** Goes through x in its memory order, channels innermost; the axis that shrinks most comes first. */
function resampled(x: Tensor, to: readonly number[], rules: readonly ResampleRule[]): Tensor {
  expectFloat("resample", x);
  const rank = x.rank;
  const toLast = [0, ...to.map((_, axis) => axis + 2), 1];
  let y = x.permute(toLast).contiguous();
  const order = [...to.keys()].sort((a, b) => to[a]! / x.shape[a + 2]! - to[b]! / x.shape[b + 2]!);
  order.forEach((axis, i) => {
    const last = i === order.length - 1;
    y = resampleAxis(y, axis + 1, to[axis]!, rules[axis]!, last ? x.dtype : "f32");
  });
  return y.permute([0, rank - 1, ...to.map((_, axis) => axis + 1)]);
}

/** One axis of a dense tensor at another length. */
function resampleAxis(x: Tensor, axis: number, to: number, rule: ResampleRule, dtype: DType): Tensor {
  const { shape } = x;
  const [outer, length, inner] = [sizeOf(shape.slice(0, axis)), shape[axis]!, sizeOf(shape.slice(axis + 1))];
  const { taps, weights, ranges } = resampleTable(length, to, rule);
  const values = valuesOf(inner);
  const resized = shape.with(axis, to);
  return recordKernel("resample", {
    inputs: [x, tensor(weights), tensor(ranges)],
    shape: resized,
    layout: contiguousStrides(resized),
    dtype,
    code: [values.part, RESAMPLE],
    set: { X: x.dtype },
    params: { outer, length, to, inner, taps },
    axes: [outer, 1, to, inner],
    width: values.width,
    workgroups: Math.ceil(outer * to * (inner / values.width) / 64),
    flops: 2 * outer * to * inner * taps,
  });
}
