import { expectOptions } from "../../core/error.ts";
import type { Shape } from "../../core/shape.ts";
import code from "../../../shaders/upsample_nearest.wgsl" with { type: "text" };
import { ELEMENT_MAIN, recordKernel, snippet, type Tensor } from "../../tensor/mod.ts";
import { expectFloat, valuesOf } from "../values.ts";

const UPSAMPLE_NEAREST = snippet("upsample_nearest", code, [ELEMENT_MAIN]);

/** Options of `upsampleNearest`: the new size, or a factor. */
export interface UpsampleOptions {
  /** In pixels; goes before `scale`. */
  size?: readonly [H: number, W: number] | undefined;
  /** Factor on both sides, rounded down to whole pixels; 2 by default. */
  scale?: number | undefined;
}

/** Nearest-neighbour resize, as torch's interpolate(mode="nearest"). x [B, C, H, W] → [B, C, ...size]. */
export function upsampleNearest(x: Tensor, options: UpsampleOptions): Tensor {
  expectOptions("upsample", options, ["size", "scale"]);
  const { size, scale = 2 } = options;
  const [B, C, H, W] = x.shape as Shape<4>;
  const [outH, outW] = size ?? [Math.floor(H * scale), Math.floor(W * scale)];
  if (outH === H && outW === W) return x;
  expectFloat("upsample_nearest", x);
  const image = x.channelsLast();
  const values = valuesOf(C);
  // With a factor torch divides by it; with a size it divides the sizes, in f32.
  const ratio = (from: number, to: number) => Math.fround(size ? from / to : 1 / scale);
  return recordKernel("upsample_nearest", {
    inputs: [image],
    shape: [B, C, outH, outW],
    dtype: x.dtype,
    code: [values.part, UPSAMPLE_NEAREST],
    set: { X: x.dtype },
    params: {
      images: B,
      channels: C,
      in_h: H,
      in_w: W,
      out_h: outH,
      out_w: outW,
      scale_y: ratio(H, outH),
      scale_x: ratio(W, outW),
    },
    axes: [B, 1, outH * outW, C],
    width: values.width,
    workgroups: Math.ceil(B * outH * outW * (C / values.width) / 64),
    flops: 0,
  });
}
