/**
 * Denoise: diffusion models on native WebGPU. What every script needs; models, schedulers and pipelines have
 * modules of their own.
 * @module
 */

import "./io/upload/conversion.ts"; // so that the files of shaders/convert/ are known as those of ops are

export type { BarOptions } from "./core/bar.ts";
export type { DType, HostArray, PackedDType, PlainDType, ValueType } from "./core/dtype.ts";
export type { Shape, Tuple } from "./core/shape.ts";
export { version } from "./core/version.ts";
export { waiting, type WaitingOptions } from "./core/waiting.ts";
export type { Buffers, Storage } from "./gpu/memory/buffers.ts";
export { currentDevice, Device, type DumpForm, type KernelChoice } from "./gpu/device.ts";
export type { DeviceBase, HostTimes } from "./gpu/device_base.ts";
export type { Engine, MatrixConfig, Traits } from "./gpu/traits.ts";
export type { Dropped, Measured, TunedAdapter, Tunings, TuningsData } from "./gpu/tunings/tunings.ts";
export {
  DeviceLostError,
  GPUCommandError,
  NoAdapterError,
  OutOfMemoryError,
  ShaderError,
} from "./gpu/errors.ts";
export { type DeviceOptions, openDevice } from "./gpu/open/open.ts";
export { replaceShader } from "./gpu/shader/replace_shader.ts";
export type { BindingUse, Pipeline, Pipelines, PipelineSpec } from "./gpu/shader/pipelines.ts";
export type { Marks } from "./gpu/profiling/marks.ts";
export type { Profiler, TimedDevice } from "./gpu/profiling/profiler.ts";
export type {
  ClockOffset,
  DispatchDetails,
  DispatchedWork,
  DispatchRecord,
  HostSpan,
  InputRecord,
  Recording,
  Stretch,
  TimedDispatch,
  TimingRow,
} from "./gpu/profiling/records.ts";
export { type TraceEvent, traceEvents } from "./gpu/profiling/trace.ts";
export type { ARITHMETIC, CASTS, FUNCTIONS, Operation, TESTS } from "./graph/operations.ts";
export {
  type CheckedInput,
  type NonFiniteCause,
  NonFiniteError,
  type NonFiniteReport,
  type ValueRange,
} from "./graph/check/error.ts";
export type { GraphDump } from "./graph/dump/describe.ts";
export type { Graph, GraphLeaf, GraphStep } from "./graph/dump/graph.ts";
export type { Leaf, Node, View, WeightPager } from "./graph/node.ts";
export type { Progress } from "./io/hub/resolve_repo.ts";
export { type Fit, resizeImage, type ResizeOptions } from "./io/images/resize.ts";
export type { Image, ImageMode } from "./io/images/image.ts";

export type { ResamplingFilter } from "./io/images/resample.ts";
export { type ImageSource, loadImage, type LoadImageOptions } from "./io/images/load_image.ts";
export { type EmbeddedModel, embeddedModel, type EmbeddedModelOptions } from "./io/embedded_models.ts";
export { loadingBar } from "./io/terminal/loading_bar.ts";

export type { PngFile } from "./io/images/png.ts";
export { type PreviewTargets, previewWriter } from "./io/terminal/preview_writer.ts";

export { loadPng, type Recipe, savePng, type SavePngOptions } from "./io/images/save_png.ts";
export { showImage, type ShownImage } from "./io/terminal/show_image.ts";
export { type PictureProtocol, pictureProtocols } from "./io/terminal/protocol.ts";
export type { UploadProgress } from "./io/upload/upload.ts";
export {
  bmm,
  type Complex,
  conv1d,
  type Conv1dOptions,
  conv2d,
  type Conv2dOptions,
  convTranspose2d,
  type ConvTranspose2dOptions,
  einsum,
  fft,
  fft2,
  fftfreq,
  fftn,
  type FftnOptions,
  type FftNorm,
  type FftOptions,
  fftshift,
  ifft,
  ifft2,
  ifftn,
  ifftshift,
  interpolate,
  type InterpolateMode,
  type InterpolateOptions,
  irfft,
  irfft2,
  irfftn,
  matmul,
  type Padding,
  type Pair,
  rfft,
  rfft2,
  rfftfreq,
  rfftn,
  softmax,
} from "./ops/mod.ts";
export {
  manualSeed,
  rand,
  randint,
  randLike,
  randn,
  randnLike,
  type RandomOptions,
  randperm,
  type SeedOptions,
  type TorchGenerator,
} from "./random/mod.ts";
export {
  arange,
  cat,
  type CreateOptions,
  type CustomKernel,
  empty,
  emptyLike,
  eye,
  full,
  fullLike,
  kernel,
  linspace,
  meshgrid,
  named,
  type NestedList,
  type NestedValues,
  ones,
  onesLike,
  type PadOptions,
  progress,
  type ProgressOptions,
  type QuantileOptions,
  type ReduceOptions,
  Scope,
  scope,
  type Selected,
  type SortOptions,
  stack,
  Tensor,
  tensor,
  type TensorArithmetic,
  type TensorBase,
  type TensorFunctions,
  type TensorMoves,
  type TensorOrder,
  type TensorViews,
  type Term,
  type TopkOptions,
  type Value,
  type Values,
  type VarianceOptions,
  weightedSum,
  where,
  zeros,
  zerosLike,
} from "./tensor/mod.ts";
