/** Pipelines: the scripts' loops with the options that people expect. @module */
export {
  type AllRunOptions,
  type AnyParts,
  type AnyPipeline,
  type AnyRunOptions,
  DiffusionPipeline,
} from "./diffusion_pipeline.ts";
export {
  type ControlImageOptions,
  StableDiffusionControlNetBase,
  StableDiffusionControlNetImg2ImgPipeline,
  type StableDiffusionControlNetImg2ImgRunOptions,
  StableDiffusionControlNetInpaintPipeline,
  type StableDiffusionControlNetInpaintRunOptions,
  type StableDiffusionControlNetParts,
  StableDiffusionControlNetPipeline,
  type StableDiffusionControlNetRunOptions,
} from "./controlnet/stable_diffusion.ts";
export {
  StableDiffusionXLControlNetBase,
  StableDiffusionXLControlNetImg2ImgPipeline,
  type StableDiffusionXLControlNetImg2ImgRunOptions,
  StableDiffusionXLControlNetInpaintPipeline,
  type StableDiffusionXLControlNetInpaintRunOptions,
  type StableDiffusionXLControlNetParts,
  StableDiffusionXLControlNetPipeline,
  type StableDiffusionXLControlNetRunOptions,
} from "./controlnet/stable_diffusion_xl.ts";
export {
  type FluxControlImageOption,
  FluxControlImg2ImgPipeline,
  type FluxControlImg2ImgRunOptions,
  FluxControlInpaintPipeline,
  type FluxControlInpaintRunOptions,
  FluxControlPipeline,
  type FluxControlRunOptions,
} from "./flux/control.ts";
export {
  FluxControlNetBase,
  FluxControlNetImg2ImgPipeline,
  type FluxControlNetImg2ImgRunOptions,
  FluxControlNetInpaintPipeline,
  type FluxControlNetInpaintRunOptions,
  type FluxControlNetParts,
  FluxControlNetPipeline,
  type FluxControlNetRunOptions,
} from "./flux/controlnet.ts";
export type { FluxControlNetControlOptions } from "./flux/begin_control.ts";
export {
  FluxFillPipeline,
  type FluxFillRunOptions,
  FluxInpaintPipeline,
  type FluxInpaintRunOptions,
} from "./flux/inpainting.ts";
export { FluxKontextPipeline, type FluxKontextRunOptions } from "./flux/kontext.ts";
export {
  FluxBase,
  FluxImg2ImgPipeline,
  type FluxImg2ImgRunOptions,
  FluxPipeline,
  type FluxRunOptions,
} from "./flux/pipelines.ts";
export type { FluxParts, FluxTextParts } from "./flux/parts.ts";
export {
  type FluxPriorReduxOutput,
  type FluxPriorReduxParts,
  FluxPriorReduxPipeline,
  type FluxPriorReduxRunOptions,
} from "./flux/redux.ts";
export type { FluxEncodeOptions, FluxPromptOptions } from "./flux/prompts.ts";
export type { FluxOptions, FluxOutput } from "./flux/run.ts";
export type { ControlImages, ControlOptions, ControlParts } from "./latents/control.ts";
export { Flux2Pipeline, type Flux2RunOptions } from "./flux2/dev.ts";
export { Flux2KleinPipeline, type Flux2KleinRunOptions } from "./flux2/klein.ts";
export type { Flux2KleinParts } from "./flux2/klein_parts.ts";
export type { Flux2KleinEncodeOptions, Flux2KleinPromptOptions } from "./flux2/prompts.ts";
export type { Flux2Parts } from "./flux2/parts.ts";
export { empiricalMu, type Flux2Options, type Flux2Output } from "./flux2/run.ts";
export { guidanceEmbedding, guide, rescaled } from "./latents/guidance.ts";
export {
  apg,
  type ApgOptions,
  cfgNormalization,
  cfgZeroStar,
  type CfgZeroStarOptions,
  dynamicThresholding,
  type DynamicThresholdingOptions,
  type Guidance,
  type Guide,
} from "./latents/guiders.ts";
export type { FlowStepsOptions } from "./latents/flow.ts";
export { type ChangedSizeOptions, maskOf, pictureOf } from "./latents/init_image.ts";
export { packLatents, unpackLatents } from "./latents/packing.ts";
export type { SkipLayerGuidanceOptions } from "./latents/skipped.ts";
export type { PerturbedAttentionOptions } from "./latents/perturbed.ts";
export type { LatentLoopOptions, LatentOutput } from "./latents/loop.ts";
export type {
  IPAdapterImageOptions,
  IPAdapterOptions,
  IPAdapterParts,
  IPAdapterScale,
} from "./ip_adapter.ts";
export { easyCache, type EasyCacheOptions } from "./step_caches/easy.ts";
export { firstBlockCache, type FirstBlockCacheOptions } from "./step_caches/first_block.ts";
export {
  type CachedCall,
  CachedModel,
  type CacheState,
  type Predicting,
  type StepCache,
} from "./step_caches/step_cache.ts";
export { teaCache, type TeaCacheOptions } from "./step_caches/tea.ts";
export type { TextualInversionOptions } from "./textual_inversion.ts";
export type { SizeOptions, StartNoiseOptions } from "./size.ts";
export type { Residents } from "./memory/acquire.ts";
export type { AnyControlNet, PipelineOptions } from "./model_index.ts";
export { Pipeline } from "./pipeline.ts";
export { preview, type PreviewOptions, previewPixels, Previews } from "./previews/previews.ts";
export { scaleBetween, type ScaleSchedule } from "./adapter_scales.ts";
export {
  type PromptSyntax,
  weightedPrompt,
  type WeightedPromptOptions,
} from "./prompt_weights/weighted_prompt.ts";
export type {
  PooledPromptEmbeds,
  PooledPromptEmbedsOptions,
  PromptEmbedsOptions,
  TextEmbeddings,
} from "./prompts.ts";
export type { PipelineOutput, RunOptions } from "./run.ts";
export type { StableDiffusionParts } from "./stable_diffusion/parts.ts";
export {
  StableDiffusionBase,
  StableDiffusionImg2ImgPipeline,
  type StableDiffusionImg2ImgRunOptions,
  StableDiffusionInpaintPipeline,
  type StableDiffusionInpaintRunOptions,
  StableDiffusionPipeline,
  type StableDiffusionRunOptions,
} from "./stable_diffusion/pipelines.ts";
export type { EncodeOptions, PromptOptions } from "./stable_diffusion/prompts.ts";
export type { StableDiffusionOptions } from "./stable_diffusion/run.ts";
export type { StableDiffusionXLParts } from "./stable_diffusion_xl/parts.ts";
export type { DenoisingRangeOptions, DenoisingStartOptions } from "./stable_diffusion_xl/denoising_range.ts";
export {
  StableDiffusionXLBase,
  StableDiffusionXLImg2ImgPipeline,
  type StableDiffusionXLImg2ImgRunOptions,
  StableDiffusionXLInpaintPipeline,
  type StableDiffusionXLInpaintRunOptions,
  StableDiffusionXLPipeline,
  type StableDiffusionXLRunOptions,
} from "./stable_diffusion_xl/pipelines.ts";
export type {
  EncodeOptionsXL,
  StableDiffusionXLOptions,
  StableDiffusionXLPromptOptions,
} from "./stable_diffusion_xl/prompts.ts";
export type { AestheticOptions, MicroConditionOptions, Pair } from "./stable_diffusion_xl/sizes.ts";
export {
  DDIMPipeline,
  type DDIMRunOptions,
  DDPMPipeline,
  type DDPMRunOptions,
  type UnconditionalParts,
  UnconditionalPipeline,
} from "./unconditional/pipelines.ts";
export type { AdapterOptions, AdapterParts } from "./t2i_adapter/adapters.ts";
export {
  type AdapterImageOptions,
  type StableDiffusionAdapterParts,
  StableDiffusionAdapterPipeline,
  type StableDiffusionAdapterRunOptions,
  type StableDiffusionXLAdapterParts,
  StableDiffusionXLAdapterPipeline,
  type StableDiffusionXLAdapterRunOptions,
} from "./t2i_adapter/pipelines.ts";
export {
  ZImageControlNetBase,
  ZImageControlNetInpaintPipeline,
  type ZImageControlNetInpaintRunOptions,
  type ZImageControlNetParts,
  ZImageControlNetPipeline,
  type ZImageControlNetRunOptions,
} from "./z_image/controlnet.ts";
export type { ZImageParts } from "./z_image/parts.ts";
export {
  ZImageBase,
  ZImageImg2ImgPipeline,
  type ZImageImg2ImgRunOptions,
  ZImageInpaintPipeline,
  type ZImageInpaintRunOptions,
  ZImagePipeline,
  type ZImagePromptEmbeds,
  type ZImageRunOptions,
} from "./z_image/pipelines.ts";
export type { ZImageEncodeOptions, ZImagePromptOptions } from "./z_image/prompts.ts";
export type { ZImageOptions } from "./z_image/run.ts";
