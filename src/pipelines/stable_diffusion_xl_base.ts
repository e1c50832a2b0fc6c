import { expectSingleFile } from "../io/single_file/options.ts";
import type { LatentOutput } from "./latent_loop.ts";
import { LoraPipeline } from "./lora.ts";
import type { PipelineOptions } from "./pipeline.ts";
import type { PooledPromptEmbeds } from "./prompt_embeds.ts";
import { apart } from "./prompts.ts";
import { loadPartsXL, type StableDiffusionXLParts } from "./stable_diffusion_xl_parts.ts";
import { embedToldXL, type EncodeOptionsXL } from "./stable_diffusion_xl_prompts.ts";
import type { StableDiffusionXLOptions } from "./stable_diffusion_xl_run.ts";

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
