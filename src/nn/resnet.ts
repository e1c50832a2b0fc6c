import type { GroupNormOptions } from "../ops/mod.ts";
import { named, type Tensor } from "../tensor/mod.ts";
import { activation, type ActivationName } from "./activations.ts";
import { conv1x1, conv3x3, type Layer, norm } from "./layers.ts";
import type { TimeProjections } from "./time_projections.ts";

/** Weights of a residual block. */
export interface ResnetBlock2D {
  norm1: Layer;
  conv1: Layer;
  time_emb_proj?: Layer | undefined; // where the block listens to time
  norm2: Layer;
  conv2: Layer;
  conv_shortcut?: Layer | undefined; // where the number of channels changes
}

/** What a config says about all residual blocks of a model. */
export interface ResnetStyle extends GroupNormOptions {
  act: ActivationName;
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

/** Residual block that listens to time. x [B, C, H, W] → [B, channels, H', W']. */
export function resnetBlock2D(
  x: Tensor,
  w: ResnetBlock2D,
  times: TimeProjections | null,
  o: ResnetOptions,
): Tensor {
  const act = activation(o.act);
  const resample = o.resample ?? ((t) => t);
  const time = times && timeSignal(times, w.time_emb_proj!, o); // the VAE's blocks have none

  const normed = resample(act(named("norm1", () => norm(x, w.norm1, o), [x])));
  let h = named("conv1", () => conv3x3(normed, w.conv1, o.channels), [normed]);
  if (time && o.timeScaleShift === "default") h = h.add(time);
  const told = h;
  h = named("norm2", () => norm(told, w.norm2, o), [told]);
  if (time && o.timeScaleShift === "scale_shift") {
    const [scale, shift] = time.chunk(2, 1);
    h = h.mul(scale.add(1)).add(shift);
  }
  const active = act(h);
  h = named("conv2", () => conv3x3(active, w.conv2, o.channels), [active]);

  let residual = resample(x);
  if (residual.shape[1] !== o.channels) {
    const whole = residual;
    residual = named("conv_shortcut", () => conv1x1(whole, w.conv_shortcut!, o.channels), [whole]);
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
