/** Models: networks with their configs and weights. @module */
export type { CheckpointDType, TensorInfo } from "../io/checkpoint.ts";
export type { LoadOptions } from "./load.ts";
export { Model, type ModelParts, type Tensors } from "./model.ts";
export type { UNet2DConfig } from "./unet_2d_config.ts";
export { UNet2DModel, type UNet2DOptions } from "./unet_2d.ts";
export type { ClassLabels } from "./unet_2d_inputs.ts";
export type { Weights } from "./weights.ts";
