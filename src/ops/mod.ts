/** Operators of neural networks on tensors. @module */
import "./methods.ts";

export { geglu, gelu, geluTanh, mish, quickGelu, relu, sigmoid, silu } from "./activations.ts";
export { attention, type AttentionOptions } from "./attention/attention.ts";
export { avgPool2d, type PoolOptions } from "./avg_pool2d.ts";
export type { Complex } from "./complex.ts";
export { conv1d, type Conv1dOptions } from "./conv1d.ts";
export { conv2d, type Conv2dOptions } from "./conv2d.ts";
export { convTranspose2d, type ConvTranspose2dOptions } from "./conv_transpose2d.ts";
export { einsum } from "./einsum.ts";
export {
  fft,
  fft2,
  fftfreq,
  fftn,
  type FftnOptions,
  type FftOptions,
  fftshift,
  ifft,
  ifft2,
  ifftn,
  ifftshift,
} from "./fft.ts";
export { gather } from "./gather.ts";
export { interpolate, type InterpolateMode, type InterpolateOptions } from "./interpolate.ts";
export { groupNorm, type GroupNormOptions } from "./group_norm.ts";
export { layerNorm } from "./layer_norm.ts";
export { type Affine, linear, type LinearOptions } from "./linear.ts";
export { bmm, matmul } from "./matmul.ts";
export { irfft, irfft2, irfftn, rfft, rfft2, rfftfreq, rfftn } from "./rfft.ts";
export { rmsNorm } from "./rms_norm.ts";
export type { RowNormOptions } from "./row_norm.ts";
export { rmsNormRotary, rotary, type RotaryPart } from "./rotary.ts";
export { softmax } from "./softmax.ts";
export { timestepEmbedding, type TimestepEmbeddingOptions } from "./timestep_embedding.ts";
export type { FftNorm } from "./transform.ts";
export { upsampleNearest, type UpsampleOptions } from "./upsample_nearest.ts";
export type { Padding, Pair } from "./windows.ts";
