/** Pipelines: the scripts' loops with the options that people expect. @module */
export { DDIMPipeline, type DDIMRunOptions } from "./unconditional/ddim.ts";
export { DDPMPipeline, type DDPMRunOptions } from "./unconditional/ddpm.ts";
export {
  type AllRunOptions,
  type AnyParts,
  type AnyPipeline,
  type AnyRunOptions,
  DiffusionPipeline,
} from "./diffusion_pipeline.ts";
export { FluxImg2ImgPipeline, type FluxImg2ImgRunOptions } from "./flux/img2img.ts";
export { packLatents, unpackLatents } from "./flux/latents.ts";
export type { FluxParts } from "./flux/parts.ts";
export { FluxPipeline, type FluxRunOptions } from "./flux/pipelines.ts";
export { FluxBase } from "./flux/base.ts";
export type { FluxEncodeOptions, FluxPromptOptions } from "./flux/prompts.ts";
export type { FluxOptions, FluxOutput } from "./flux/run.ts";
export type { DenoisingRangeOptions, DenoisingStartOptions } from "./stable_diffusion_xl/denoising_range.ts";
export { guidanceEmbedding, guide } from "./latents/guidance.ts";
export type { LatentLoopOptions, LatentOutput } from "./latents/loop.ts";
export type { ChangedSizeOptions } from "./latents/init_image.ts";
export type { SizeOptions } from "./latents/size.ts";
export { LoraPipeline } from "./pipeline.ts";
export { maskOf, pictureOf } from "./latents/picture.ts";
export type { PipelineOptions, PipelineOutput, RunOptions } from "./run.ts";
export { preview, type PreviewOptions, previewPixels, Previews } from "./previews/previews.ts";
export type { PooledPromptEmbeds, PooledPromptEmbedsOptions, PromptEmbedsOptions } from "./prompts.ts";
export type { EncodeOptions, PromptOptions } from "./stable_diffusion/prompts.ts";
export { StableDiffusionBase } from "./stable_diffusion/base.ts";
export type { Residents } from "./memory/residency.ts";
export {
  StableDiffusionImg2ImgPipeline,
  type StableDiffusionImg2ImgRunOptions,
} from "./stable_diffusion/img2img.ts";
export {
  StableDiffusionInpaintPipeline,
  type StableDiffusionInpaintRunOptions,
} from "./stable_diffusion/inpaint.ts";
export type { StableDiffusionParts } from "./stable_diffusion/parts.ts";
export { StableDiffusionPipeline, type StableDiffusionRunOptions } from "./stable_diffusion/pipelines.ts";
export type { StableDiffusionOptions } from "./stable_diffusion/run.ts";
export {
  StableDiffusionXLImg2ImgPipeline,
  type StableDiffusionXLImg2ImgRunOptions,
} from "./stable_diffusion_xl/img2img.ts";
export {
  StableDiffusionXLInpaintPipeline,
  type StableDiffusionXLInpaintRunOptions,
} from "./stable_diffusion_xl/inpaint.ts";
export type { StableDiffusionXLParts } from "./stable_diffusion_xl/parts.ts";
export {
  StableDiffusionXLPipeline,
  type StableDiffusionXLRunOptions,
} from "./stable_diffusion_xl/pipelines.ts";
export { StableDiffusionXLBase } from "./stable_diffusion_xl/base.ts";
export type { EncodeOptionsXL, StableDiffusionXLPromptOptions } from "./stable_diffusion_xl/prompts.ts";
export type { StableDiffusionXLOptions } from "./stable_diffusion_xl/run.ts";
export type { AestheticOptions, MicroConditionOptions, Pair } from "./stable_diffusion_xl/sizes.ts";
export type { StartNoiseOptions } from "./latents/start_noise.ts";
export { type UnconditionalParts, UnconditionalPipeline } from "./unconditional/base.ts";
