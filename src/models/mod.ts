/** Models: networks with their configs and weights. @module */
export { AutoencoderKL } from "./autoencoder_kl/autoencoder_kl.ts";
export { AutoencoderKLBase, type Verb } from "./autoencoder_kl/autoencoder_kl_base.ts";
export {
  Autoencoder,
  type AutoencoderConfig,
  type DecodeCheckedOptions,
  type LatentsOptions,
  type TileOptions,
} from "./autoencoder.ts";
export type { AutoencoderKLConfig, KLConfig } from "./autoencoder_kl/config.ts";
export { AutoencoderKLFlux2 } from "./autoencoder_kl_flux2/autoencoder_kl_flux2.ts";
export type { AutoencoderKLFlux2Config } from "./autoencoder_kl_flux2/config.ts";
export { AutoencoderTiny } from "./autoencoder_tiny/autoencoder_tiny.ts";
export type { AutoencoderTinyConfig } from "./autoencoder_tiny/config.ts";
export { DiagonalGaussianDistribution } from "./autoencoder_kl/distribution.ts";
export {
  CLIPTextModel,
  CLIPTextModelWithProjection,
  type CLIPTextOptions,
  type CLIPTextOutput,
  type CLIPTextProjectionOutput,
} from "./clip_text/clip_text.ts";
export type { CLIPTextConfig } from "./clip_text/config.ts";
export { Flux2Transformer2DModel } from "./flux2_transformer_2d/flux2_transformer_2d.ts";
export type { Flux2Transformer2DConfig } from "./flux2_transformer_2d/config.ts";
export type { Flux2Transformer2DOptions } from "./flux2_transformer_2d/inputs.ts";
export { CLIPVisionModelWithProjection, type CLIPVisionProjectionOutput } from "./clip_vision/clip_vision.ts";
export type { CLIPVisionConfig } from "./clip_vision/config.ts";
export { clipPixels } from "./clip_vision/pixels.ts";
export type { IPAdapterConfig } from "./ip_adapter/config.ts";
export { type ImageKeyValues, IPAdapter } from "./ip_adapter/ip_adapter.ts";
export type { ControlNetConfig } from "./controlnet/config.ts";
export { ControlNetModel, type ControlNetOptions, type ControlNetOutput } from "./controlnet/controlnet.ts";
export { FluxTransformer2DModel } from "./flux_transformer_2d/flux_transformer_2d.ts";
export type { FluxControlNetConfig } from "./flux_controlnet/config.ts";
export {
  FluxControlNetModel,
  type FluxControlNetOptions,
  type FluxControlNetOutput,
} from "./flux_controlnet/flux_controlnet.ts";
export type { FluxControlSamples } from "./flux_transformer_2d/control.ts";
export type { FluxTransformer2DConfig } from "./flux_transformer_2d/config.ts";
export type { FluxConditions, FluxTransformer2DOptions } from "./flux_transformer_2d/inputs.ts";
export type { Positions } from "./flux_transformer_2d/pos_embed.ts";
export { FluxModulation } from "./flux_transformer_2d/modulation.ts";
export { Qwen3Model, type Qwen3Options, type Qwen3Output } from "./qwen3/qwen3.ts";
export type { Qwen3Config, RopeParameters } from "./qwen3/config.ts";
export type { HiddenActName } from "../nn/activations.ts";
export type { BlockDType, CheckpointDType, ElementDType, TensorInfo } from "../io/formats/checkpoint.ts";
export type { SingleFileOptions } from "../io/single_file/options.ts";
export type { LoadOptions, ModelParts } from "./runtime/load.ts";
export type { SourceOptions } from "./runtime/model_source.ts";
export type { LoadPartOptions } from "./runtime/residency.ts";
export type { AlphaSource } from "../io/lora/alpha.ts";
export type { AdapterKind, ChangeKind } from "../io/lora/changes.ts";
export type { Adapters } from "./runtime/lora/adapters.ts";
export type { AdapterScale, BlockScale, UNetScales, WayScales } from "./runtime/lora/adapter_scale.ts";
export type { Component, ComponentScales } from "./runtime/lora/component_scales.ts";
export { blockWeights, readBlockWeights } from "./runtime/lora/block_weights.ts";
export { loadLora, type LoadReport, type LoraModels, type LoraOptions } from "./runtime/load_lora.ts";
export type { Edit, EditFunction, EditOptions, EditValues } from "./runtime/edits.ts";
export type { BlockParts, FirstBlock } from "./runtime/block_parts.ts";
export { Model, type SkipOptions, type TapOptions, type Taps } from "./runtime/model.ts";
export type { Tensors } from "./runtime/traces.ts";
export { T2IAdapter } from "./t2i_adapter/t2i_adapter.ts";
export type { T2IAdapterConfig } from "./t2i_adapter/config.ts";
export { ReduxImageEncoder } from "./redux_image_encoder/redux_image_encoder.ts";
export type { ReduxImageEncoderConfig } from "./redux_image_encoder/config.ts";
export { SiglipImageProcessor, type SiglipImageProcessorConfig } from "./siglip_vision/image_processor.ts";
export { SiglipVisionModel, type SiglipVisionOutput } from "./siglip_vision/siglip_vision.ts";
export type { SiglipVisionConfig } from "./siglip_vision/config.ts";
export { T5EncoderModel, type T5EncoderOptions, type T5EncoderOutput } from "./t5_encoder/t5_encoder.ts";
export type { T5EncoderConfig } from "./t5_encoder/config.ts";
export { UNet2DConditionModel } from "./unet_2d_condition/unet_2d_condition.ts";
export type { EncoderConfig, UNet2DConditionConfig } from "./unet_2d_condition/config.ts";
export type { AddedCond, ConditionOptions, UNet2DConditionOptions } from "./unet_2d_condition/inputs.ts";
export type { ImageAttention, ImageInput } from "./unet_2d_condition/image_attention.ts";
export type { ResidualOptions } from "./unet_2d_condition/inputs.ts";
export type { UNet2DConfig } from "./unet_2d/config.ts";
export { UNet2DModel, type UNet2DOptions } from "./unet_2d/unet_2d.ts";
export type { ClassLabels } from "./unet_2d/inputs.ts";
export type { WeightFormat } from "./runtime/dtype.ts";
export type { StreamOptions } from "./runtime/weight_stream.ts";
export type { Weights } from "./runtime/weights.ts";
export type { ZImageControlNetConfig } from "./z_image_controlnet/config.ts";
export {
  ZImageControlNetModel,
  type ZImageControlNetOptions,
} from "./z_image_controlnet/z_image_controlnet.ts";
export { ZImageTransformer2DModel } from "./z_image_transformer_2d/z_image_transformer_2d.ts";
export type { ZImageTransformer2DConfig } from "./z_image_transformer_2d/config.ts";
export type { ZImageTransformer2DOptions } from "./z_image_transformer_2d/inputs.ts";
