/** Pipelines: the scripts' loops with the options that people expect. @module */
export { DDIMPipeline, type DDIMRunOptions } from "./ddim_pipeline.ts";
export { DDPMPipeline, type DDPMRunOptions } from "./ddpm_pipeline.ts";
export {
  type AllRunOptions,
  type AnyParts,
  type AnyPipeline,
  type AnyRunOptions,
  DiffusionPipeline,
} from "./diffusion_pipeline.ts";
export { FluxImg2ImgPipeline, type FluxImg2ImgRunOptions } from "./flux_img2img_pipeline.ts";
export { packLatents, unpackLatents } from "./flux_latents.ts";
export type { FluxParts } from "./flux_parts.ts";
export { FluxPipeline, type FluxRunOptions } from "./flux_pipeline.ts";
export { FluxBase } from "./flux_base.ts";
export type { FluxEncodeOptions, FluxPromptOptions } from "./flux_prompts.ts";
export type { FluxOptions, FluxOutput } from "./flux_run.ts";
export type { DenoisingRangeOptions, DenoisingStartOptions } from "./denoising_range.ts";
export { guidanceEmbedding, guide } from "./guidance.ts";
export type { LatentLoopOptions, LatentOutput } from "./latent_loop.ts";
export type { ChangedSizeOptions } from "./init_image.ts";
export type { SizeOptions } from "./latent_size.ts";
export { LoraPipeline } from "./lora.ts";
export { maskOf, pictureOf } from "./picture.ts";
export type { PipelineOptions, PipelineOutput, RunOptions } from "./pipeline.ts";
export { preview, type PreviewOptions, previewPixels, Previews } from "./preview.ts";
export type { PooledPromptEmbeds, PooledPromptEmbedsOptions, PromptEmbedsOptions } from "./prompt_embeds.ts";
export type { EncodeOptions, PromptOptions } from "./prompts.ts";
export { StableDiffusionBase } from "./stable_diffusion_base.ts";
export type { Residents } from "./residency.ts";
export {
  StableDiffusionImg2ImgPipeline,
  type StableDiffusionImg2ImgRunOptions,
} from "./stable_diffusion_img2img_pipeline.ts";
export {
  StableDiffusionInpaintPipeline,
  type StableDiffusionInpaintRunOptions,
} from "./stable_diffusion_inpaint_pipeline.ts";
export type { StableDiffusionParts } from "./stable_diffusion_parts.ts";
export { StableDiffusionPipeline, type StableDiffusionRunOptions } from "./stable_diffusion_pipeline.ts";
export type { StableDiffusionOptions } from "./stable_diffusion_run.ts";
export {
  StableDiffusionXLImg2ImgPipeline,
  type StableDiffusionXLImg2ImgRunOptions,
} from "./stable_diffusion_xl_img2img_pipeline.ts";
export {
  StableDiffusionXLInpaintPipeline,
  type StableDiffusionXLInpaintRunOptions,
} from "./stable_diffusion_xl_inpaint_pipeline.ts";
export type { StableDiffusionXLParts } from "./stable_diffusion_xl_parts.ts";
export {
  StableDiffusionXLPipeline,
  type StableDiffusionXLRunOptions,
} from "./stable_diffusion_xl_pipeline.ts";
export { StableDiffusionXLBase } from "./stable_diffusion_xl_base.ts";
export type { EncodeOptionsXL, StableDiffusionXLPromptOptions } from "./stable_diffusion_xl_prompts.ts";
export type { StableDiffusionXLOptions } from "./stable_diffusion_xl_run.ts";
export type { AestheticOptions, MicroConditionOptions, Pair } from "./stable_diffusion_xl_sizes.ts";
export type { StartNoiseOptions } from "./start_noise.ts";
export { type UnconditionalParts, UnconditionalPipeline } from "./unconditional_pipeline.ts";
