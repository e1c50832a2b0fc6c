import { expectOptions } from "../../core/error.ts";
import { size } from "../../core/shape.ts";
import { recordChoice, type Tensor } from "../../tensor/mod.ts";
import type { Affine } from "../linear.ts";
import { groupsOf, selectKernel, shapeClassOf } from "./groups.ts";
import { expectFloat } from "../values.ts";
import { NORM_FLOPS } from "./flops.ts";

/** Options of `groupNorm`. */
export interface GroupNormOptions {
  /** Must divide C. */
  groups: number;
  /** Added to the variance; 1e-5 by default. */
  eps?: number | undefined;
}

/**
 * y = (x − mean) / √(var + eps) · weight + bias per group of channels (Wu & He 2018), as in torch. x [B, C, ...]. Where x
 * is what `cat` makes of two pictures, these are read, and nothing is copied.
 */
export function groupNorm(x: Tensor, w: Partial<Affine>, options: GroupNormOptions): Tensor {
  expectOptions("normalise groups", options, ["groups", "eps"]);
  const { groups, eps = 1e-5 } = options;
  const [B, C, ...sides] = x.shape as readonly [number, number, ...number[]];
  if (C % groups !== 0) {
    throw new RangeError(`Cannot normalise ${x}: expected channels that ${groups} groups divide, got ${C}`);
  }
  if (x.size === 0) return x;
  expectFloat("group_norm", x);
  const pixels = size(sides);
  const g = groupsOf(x, groups);
  let y = recordChoice("group_norm", {
    candidates: selectKernel(x.device.traits, g, eps),
    shapeClass: shapeClassOf(g),
    inputs: g.picture.inputs,
    shape: [B, C, pixels, 1],
    dtype: x.dtype,
    axes: [B, 1, pixels, C],
    flops: NORM_FLOPS * x.size,
  });
  if (w.weight) y = y.mul(w.weight.reshape([C, 1, 1]));
  if (w.bias) y = y.add(w.bias.reshape([C, 1, 1]));
  return y.reshape(x.shape);
}
