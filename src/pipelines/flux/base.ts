import { expectSingleFile } from "../../io/single_file/options.ts";
import { LoraPipeline } from "../pipeline.ts";
import type { PipelineOptions } from "../run.ts";
import type { PooledPromptEmbeds } from "../prompts.ts";
import { spreadTexts } from "../stable_diffusion/prompts.ts";
import { embedPromptsFlux } from "./embeddings.ts";
import type { FluxEncodeOptions } from "./prompts.ts";
import { type FluxParts, loadPartsFlux } from "./parts.ts";
import type { FluxOptions, FluxOutput } from "./run.ts";

/** What the pipelines of FLUX have in common. */
export abstract class FluxBase extends LoraPipeline<FluxParts> {
  /** Opens the parts of a folder or a repository, e.g. "black-forest-labs/FLUX.1-dev". */
  static async fromPretrained<Class extends new (parts: FluxParts) => FluxBase>(
    this: Class,
    pathOrRepo: string,
    options: PipelineOptions = {},
  ): Promise<InstanceType<Class>> {
    return new this(await loadPartsFlux(pathOrRepo, options)) as InstanceType<Class>;
  }

  /** Opens the parts of one file in its authors' layout; `base` has what it lacks, e.g. the tokenizers. */
  static async fromSingleFile<Class extends new (parts: FluxParts) => FluxBase>(
    this: Class,
    path: string,
    options: PipelineOptions = {},
  ): Promise<InstanceType<Class>> {
    return new this(await loadPartsFlux(expectSingleFile(path), options)) as InstanceType<Class>;
  }

  /**
   * What the text encoders make of prompts, as `run` takes it in their place, a row for each picture:
   * `run({ ...await pipeline.encodePrompt({ prompt }) })`. Negative prompts are embedded where there are any.
   */
  async encodePrompt(options: FluxEncodeOptions): Promise<PooledPromptEmbeds> {
    const { prompt, prompt2, negativePrompt, negativePrompt2, ...others } = options;
    const embed = async (prompt: FluxEncodeOptions["prompt"], prompt2: FluxEncodeOptions["prompt2"]) => {
      const { embeddings } = await embedPromptsFlux(this.parts, { ...others, prompt, prompt2 });
      return embeddings[0]!;
    };
    const told = await embed(prompt, prompt2);
    const positive = { promptEmbeds: told.states, pooledPromptEmbeds: told.pooled };
    if (negativePrompt === undefined) return positive;
    const count = [prompt].flat().length;
    const untold = await embed(spreadTexts(negativePrompt, count, "negative prompt"), negativePrompt2);
    return { ...positive, negativePromptEmbeds: untold.states, negativePooledPromptEmbeds: untold.pooled };
  }

  /** Draws pictures. */
  abstract run(options: FluxOptions): Promise<FluxOutput>;
}
