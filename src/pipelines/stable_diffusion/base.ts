import { expectSingleFile } from "../../io/single_file/options.ts";
import type { Tensor } from "../../tensor/mod.ts";
import type { LatentOutput } from "../latents/loop.ts";
import { LoraPipeline } from "../pipeline.ts";
import type { PipelineOptions } from "../run.ts";
import { apart, embedTold, type EncodeOptions } from "./prompts.ts";
import { loadParts, type StableDiffusionParts } from "./parts.ts";
import type { StableDiffusionOptions } from "./run.ts";

/** What the pipelines of Stable Diffusion have in common. */
export abstract class StableDiffusionBase extends LoraPipeline<StableDiffusionParts> {
  /** Opens the parts of a folder or a repository, e.g. "CompVis/stable-diffusion-v1-4". */
  static async fromPretrained<Class extends new (parts: StableDiffusionParts) => StableDiffusionBase>(
    this: Class,
    pathOrRepo: string,
    options: PipelineOptions = {},
  ): Promise<InstanceType<Class>> {
    return new this(await loadParts(pathOrRepo, options)) as InstanceType<Class>;
  }

  /** Opens the parts of one file in its authors' layout; `base` has what it lacks, e.g. the tokenizers. */
  static async fromSingleFile<Class extends new (parts: StableDiffusionParts) => StableDiffusionBase>(
    this: Class,
    path: string,
    options: PipelineOptions = {},
  ): Promise<InstanceType<Class>> {
    return new this(await loadParts(expectSingleFile(path), options)) as InstanceType<Class>;
  }

  /**
   * What the text encoder makes of prompts, as `run` takes it in their place, a row for each picture:
   * `run({ ...await pipeline.encodePrompt({ prompt }) })`.
   */
  async encodePrompt(
    options: EncodeOptions,
  ): Promise<{ promptEmbeds: Tensor; negativePromptEmbeds: Tensor }> {
    const { untold, told } = apart(await embedTold(this.parts, options, true));
    return { promptEmbeds: told, negativePromptEmbeds: untold! };
  }

  /** Draws pictures. */
  abstract run(options: StableDiffusionOptions): Promise<LatentOutput>;
}
