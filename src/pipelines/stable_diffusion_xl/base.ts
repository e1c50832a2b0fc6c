import { expectSingleFile } from "../../io/single_file/options.ts";
import type { LatentOutput } from "../latents/loop.ts";
import { LoraPipeline } from "../pipeline.ts";
import type { PipelineOptions } from "../run.ts";
import type { PooledPromptEmbeds } from "../prompts.ts";
import { apart } from "../stable_diffusion/prompts.ts";
import { loadPartsXL, type StableDiffusionXLParts } from "./parts.ts";
import { embedToldXL, type EncodeOptionsXL } from "./prompts.ts";
import type { StableDiffusionXLOptions } from "./run.ts";

/** What the pipelines of Stable Diffusion XL have in common. */
export abstract class StableDiffusionXLBase extends LoraPipeline<StableDiffusionXLParts> {
  /** Opens the parts of a folder or a repository, e.g. "stabilityai/stable-diffusion-xl-base-1.0". */
  static async fromPretrained<Class extends new (parts: StableDiffusionXLParts) => StableDiffusionXLBase>(
    this: Class,
    pathOrRepo: string,
    options: PipelineOptions = {},
  ): Promise<InstanceType<Class>> {
    return new this(await loadPartsXL(pathOrRepo, options)) as InstanceType<Class>;
  }

  /** Opens the parts of one file in its authors' layout; `base` has what it lacks, e.g. the tokenizers. */
  static async fromSingleFile<Class extends new (parts: StableDiffusionXLParts) => StableDiffusionXLBase>(
    this: Class,
    path: string,
    options: PipelineOptions = {},
  ): Promise<InstanceType<Class>> {
    return new this(await loadPartsXL(expectSingleFile(path), options)) as InstanceType<Class>;
  }

  /**
   * What the text encoders make of prompts, as `run` takes it in their place, a row for each picture:
   * `run({ ...await pipeline.encodePrompt({ prompt }) })`.
   */
  async encodePrompt(options: EncodeOptionsXL): Promise<Required<PooledPromptEmbeds>> {
    const { untold, told } = await embedToldXL(this.parts, options, true);
    const states = apart({ untold: untold!.states, told: told.states });
    const pooled = apart({ untold: untold!.pooled, told: told.pooled });
    return {
      promptEmbeds: states.told,
      negativePromptEmbeds: states.untold!,
      pooledPromptEmbeds: pooled.told,
      negativePooledPromptEmbeds: pooled.untold!,
    };
  }

  /** Draws pictures. */
  abstract run(options: StableDiffusionXLOptions): Promise<LatentOutput>;
}
