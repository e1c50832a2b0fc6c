import { expectSingleFile } from "../io/single_file/options.ts";
import type { Tensor } from "../tensor/mod.ts";
import { DDIMPipeline, type DDIMRunOptions } from "./unconditional/ddim.ts";
import { DDPMPipeline } from "./unconditional/ddpm.ts";
import { FluxImg2ImgPipeline, type FluxImg2ImgRunOptions } from "./flux/img2img.ts";
import type { FluxParts } from "./flux/parts.ts";
import { FluxPipeline, type FluxRunOptions } from "./flux/pipelines.ts";
import type { LoraPipeline } from "./pipeline.ts";
import { type PipelineOptions, type PipelineOutput, readIndex } from "./run.ts";
import { StableDiffusionImg2ImgPipeline } from "./stable_diffusion/img2img.ts";
import {
  StableDiffusionInpaintPipeline,
  type StableDiffusionInpaintRunOptions,
} from "./stable_diffusion/inpaint.ts";
import type { StableDiffusionParts } from "./stable_diffusion/parts.ts";
import { StableDiffusionPipeline, type StableDiffusionRunOptions } from "./stable_diffusion/pipelines.ts";
import {
  StableDiffusionXLImg2ImgPipeline,
  type StableDiffusionXLImg2ImgRunOptions,
} from "./stable_diffusion_xl/img2img.ts";
import {
  StableDiffusionXLInpaintPipeline,
  type StableDiffusionXLInpaintRunOptions,
} from "./stable_diffusion_xl/inpaint.ts";
import type { StableDiffusionXLParts } from "./stable_diffusion_xl/parts.ts";
import {
  StableDiffusionXLPipeline,
  type StableDiffusionXLRunOptions,
} from "./stable_diffusion_xl/pipelines.ts";
import type { UnconditionalParts } from "./unconditional/base.ts";

const classes: Readonly<
  Record<string, { fromPretrained(pathOrRepo: string, options: PipelineOptions): Promise<AnyPipeline> }>
> = {
  DDPMPipeline,
  DDIMPipeline,
  StableDiffusionPipeline,
  StableDiffusionImg2ImgPipeline,
  StableDiffusionInpaintPipeline,
  StableDiffusionXLPipeline,
  StableDiffusionXLImg2ImgPipeline,
  StableDiffusionXLInpaintPipeline,
  FluxPipeline,
  FluxImg2ImgPipeline,
};

/**
 * Options of a pipeline whose class only the repository names: what any of them may be told. A pipeline
 * refuses what is not for it, and says what it misses.
 */
export type AnyRunOptions = { [K in keyof AllRunOptions]?: AllRunOptions[K] | undefined };

/** Options of all pipelines at once. */
export type AllRunOptions =
  & DDIMRunOptions
  & StableDiffusionRunOptions
  & StableDiffusionInpaintRunOptions
  & StableDiffusionXLRunOptions
  & StableDiffusionXLImg2ImgRunOptions
  & StableDiffusionXLInpaintRunOptions
  & FluxRunOptions
  & FluxImg2ImgRunOptions;

/** What pipelines are made of. */
export type AnyParts = UnconditionalParts | StableDiffusionParts | StableDiffusionXLParts | FluxParts;

/** A pipeline of one of the classes that are built; `instanceof` says of which. */
export interface AnyPipeline extends LoraPipeline<AnyParts>, Disposable {
  /** Draws pictures. Those that work in latent space return what the pictures were decoded from, too. */
  run(options: AnyRunOptions): Promise<PipelineOutput & { latents?: Tensor }>;
}

/**
 * Loads whatever pipeline a repository's model_index.json names.
 *
 * ```ts ignore
 * using pipeline = await DiffusionPipeline.fromPretrained("black-forest-labs/FLUX.1-dev");
 * await pipeline.loadLoraWeights("strangerzonehf/Flux-Midjourney-Mix2-LoRA");
 * const { images } = await pipeline.run({ prompt: "a nice flower" });
 * ```
 */
export abstract class DiffusionPipeline {
  /** A pipeline of the class that the folder or repository asks for. */
  static async fromPretrained(pathOrRepo: string, options: PipelineOptions = {}): Promise<AnyPipeline> {
    const { className, commit } = await readIndex(pathOrRepo, options);
    if (!Object.hasOwn(classes, className)) {
      throw new TypeError(
        `Cannot load ${pathOrRepo}: expected one of ${Object.keys(classes).join(", ")}, got ${className}`,
      );
    }
    const source = { ...options, revision: commit ?? options.revision };
    return await classes[className]!.fromPretrained(pathOrRepo, source);
  }

  /** A pipeline of the class that the keys of one file tell (.safetensors, .ckpt, .gguf). */
  static async fromSingleFile(path: string, options: PipelineOptions = {}): Promise<AnyPipeline> {
    return await DiffusionPipeline.fromPretrained(expectSingleFile(path), options);
  }
}
