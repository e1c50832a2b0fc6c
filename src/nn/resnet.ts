import { type GroupNormOptions, upsampleNearest } from "../ops/mod.ts";
import { named, type Tensor } from "../tensor/mod.ts";
import { type ActFnName, activation } from "./activations.ts";
import { conv1x1, conv3x3, groupNorm, type Layer } from "./layers.ts";
import type { TimeProjections } from "./time_embedding.ts";

/** Weights of a residual block. */
export interface ResnetBlock2D {
  norm1: Layer;
  conv1: Layer;
  time_emb_proj?: Layer | undefined; // where the block reads time
  norm2: Layer;
  conv2: Layer;
  conv_shortcut?: Layer | undefined; // where the number of channels changes
}

/** Options that all residual blocks of a model share. */
export interface ResnetStyle extends GroupNormOptions {
  act: ActFnName;
  /** "default" adds the time signal before the second norm; "scale_shift" multiplies and adds after it. */
  timeScaleShift: "default" | "scale_shift";
  /** Divides the sum of the two branches. */
  outputScale: number;
}

/** A residual block's own options. */
export interface ResnetOptions extends ResnetStyle {
  channels: number;
  /** Changes the size of both branches, which makes the block a down- or upsampler. */
  resample?: ((x: Tensor) => Tensor) | undefined;
}

/** Residual block, which time shifts where `times` is given. x [B, C, H, W] → [B, channels, H', W']. */
export function resnetBlock2D(
  x: Tensor,
  w: ResnetBlock2D,
  times: TimeProjections | null,
  o: ResnetOptions,
): Tensor {
  const act = activation(o.act);
  const resample = o.resample ?? ((t) => t);
  const time = times && timeSignal(times, w.time_emb_proj!, o); // the VAE's blocks have none

  const normed = resample(act(named("norm1", () => groupNorm(x, w.norm1, o), [x])));
  let h = named("conv1", () => conv3x3(normed, w.conv1, o.channels), [normed]);
  if (time && o.timeScaleShift === "default") h = h.add(time);
  h = named("norm2", () => groupNorm(h, w.norm2, o), [h]);
  if (time && o.timeScaleShift === "scale_shift") {
    const [scale, shift] = time.chunk(2, 1);
    h = h.mul(scale.add(1)).add(shift);
  }
  const active = act(h);
  h = named("conv2", () => conv3x3(active, w.conv2, o.channels), [active]);

  let residual = resample(x);
  if (residual.shape[1] !== o.channels) {
    residual = named("conv_shortcut", () => conv1x1(residual, w.conv_shortcut!, o.channels), [residual]);
  }
  const sum = residual.add(h);
  return o.outputScale === 1 ? sum : sum.div(o.outputScale);
}

/** One number (or a scale and a shift) for each channel. → [B, channels or twice as many, 1, 1]. */
function timeSignal(
  times: TimeProjections,
  w: Layer,
  { channels, timeScaleShift }: ResnetOptions,
): Tensor {
  const signal = times(w, timeScaleShift === "scale_shift" ? 2 * channels : channels);
  return signal.reshape([...signal.shape, 1, 1]);
}

/** Weights of a sampler: a convolution after, or in place of, the change of size. */
export interface Sampler2D {
  conv: Layer;
}

/** Halves the size by a strided convolution. x [B, C, H, W] → [B, C, H / 2, W / 2]. */
export function downsample2D(x: Tensor, w: Sampler2D, { padding }: { padding: number }): Tensor {
  // Padding 0 still means one row and one column of zeros, at the bottom and at the right only.
  return conv3x3(x, w.conv, x.shape[1]!, { stride: 2, padding: padding === 0 ? [0, 1, 0, 1] : padding });
}

/** Repeats pixels up to `size`, then convolves. x [B, C, H, W] → [B, C, ...size]. */
export function upsample2D(x: Tensor, w: Sampler2D, { size }: { size: [H: number, W: number] }): Tensor {
  const [C, H, W] = x.shape.slice(1) as [number, number, number];
  const twice = size[0] === 2 * H && size[1] === 2 * W; // the convolution can read pixels twice by itself
  return twice ? conv3x3(x, w.conv, C, { upsample: 2 }) : conv3x3(upsampleNearest(x, { size }), w.conv, C);
}
