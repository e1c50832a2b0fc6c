/** Models: networks with their configs and weights. @module */
export { AutoencoderKL, type DecodeCheckedOptions, type TileOptions } from "./autoencoder_kl.ts";
export type { AutoencoderKLConfig } from "./autoencoder_kl_config.ts";
export { DiagonalGaussianDistribution } from "./autoencoder_kl_distribution.ts";
export {
  CLIPTextModel,
  CLIPTextModelWithProjection,
  type CLIPTextOutput,
  type CLIPTextProjectionOutput,
} from "./clip_text.ts";
export type { CLIPTextConfig } from "./clip_text_config.ts";
export type { HiddenActName } from "../nn/hidden_act.ts";
export type { CheckpointDType, TensorInfo } from "../io/checkpoint.ts";
export type { LoadOptions } from "./load.ts";
export { Model, type ModelParts, type Tensors } from "./model.ts";
export { UNet2DConditionModel } from "./unet_2d_condition.ts";
export type { UNet2DConditionConfig } from "./unet_2d_condition_config.ts";
export type { AddedCond, UNet2DConditionOptions } from "./unet_2d_condition_inputs.ts";
export type { UNet2DConfig } from "./unet_2d_config.ts";
export { UNet2DModel, type UNet2DOptions } from "./unet_2d.ts";
export type { ClassLabels } from "./unet_2d_inputs.ts";
export type { Weights } from "./weights.ts";
