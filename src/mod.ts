/**
 * Denoise: diffusion models on native WebGPU. What every script needs; models, schedulers and pipelines have modules
 * of their own.
 * @module
 */
export type { DType, HostArray } from "./core/dtype.ts";
export type { Shape } from "./core/shape.ts";
export { currentDevice, Device, type Engine, type Traits } from "./gpu/device.ts";
export { DeviceLostError, GPUCommandError, NoAdapterError, ShaderError } from "./gpu/errors.ts";
export { type DeviceOptions, openDevice } from "./gpu/open.ts";
export { type DispatchRecord, type TimedDispatch, type TimingRow, traceEvents } from "./gpu/profiler.ts";
export { loadingBar } from "./io/loading_bar.ts";
export { loadPng, type Recipe, savePng } from "./io/save_png.ts";
export {
  manualSeed,
  rand,
  randint,
  randn,
  type RandomOptions,
  randperm,
  type SeedOptions,
  type TorchGenerator,
} from "./random/mod.ts";
export {
  cat,
  full,
  named,
  ones,
  progress,
  type ProgressOptions,
  type ReduceOptions,
  Scope,
  scope,
  stack,
  tapped,
  Tensor,
  tensor,
  type Term,
  weightedSum,
  zeros,
} from "./tensor/mod.ts";
