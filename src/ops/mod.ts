/** Operators of neural networks on tensors. @module */
import "./methods.ts";

export { geglu, gelu, geluTanh, mish, quickGelu, relu, sigmoid, silu } from "./activations.ts";
export { attention } from "./attention/attention.ts";
export type { AttentionOptions } from "./attention/operands.ts";
export { avgPool2d, type PoolOptions } from "./avg_pool2d.ts";
export type { Complex } from "./fft/complex.ts";
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
} from "./fft/fft.ts";
export { gather } from "./gather.ts";
export { interpolate, type InterpolateMode, type InterpolateOptions } from "./resample/interpolate.ts";
export { groupNorm, type GroupNormOptions } from "./norm/group_norm.ts";
export { type Affine, linear, linearBehind, type LinearOptions } from "./linear.ts";
export { bmm, matmul } from "./matmul.ts";
export { irfft, irfft2, irfftn, rfft, rfft2, rfftfreq, rfftn } from "./fft/rfft.ts";
export { layerNorm, rmsNorm, type RowNormOptions } from "./norm/row_norm.ts";
export { rmsNormRotary, rotary, type RotaryOptions, type RotaryPart } from "./rotary.ts";
export { softmax } from "./norm/softmax.ts";
export { timestepEmbedding, type TimestepEmbeddingOptions } from "./timestep_embedding.ts";
export type { FftNorm } from "./fft/transform.ts";
export { upsampleNearest, type UpsampleOptions } from "./resample/upsample_nearest.ts";
export type { Padding, Pair } from "./windows.ts";
