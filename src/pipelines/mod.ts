/** Pipelines: the scripts' loops with the options that people expect. @module */
export { DDIMPipeline, type DDIMRunOptions } from "./ddim_pipeline.ts";
export { DDPMPipeline, type DDPMRunOptions } from "./ddpm_pipeline.ts";
export { DiffusionPipeline } from "./diffusion_pipeline.ts";
export type { PipelineOptions, PipelineOutput, RunOptions } from "./pipeline.ts";
