import { AutoencoderKL, CLIPTextModel, UNet2DConditionModel } from "../../models/mod.ts";
import type { Scheduler } from "../../schedulers/mod.ts";
import type { Tensor } from "../../tensor/mod.ts";
import { CLIPTokenizer } from "../../tokenizers/mod.ts";
import type { LatentOutput } from "../latents/loop.ts";
import type { Residents } from "../memory/residency.ts";
import type { PipelineOptions } from "../model_index.ts";
import { openParts } from "../open_parts.ts";
import { Pipeline } from "../pipeline.ts";
import { apart, clipEncoder, embedPrompts, type EncodeOptions } from "./prompts.ts";
import { beginRun, type StableDiffusionOptions, type UNetRun } from "./run.ts";

/** What Stable Diffusion is made of; pipelines may share parts. */
export interface StableDiffusionParts extends Residents {
  /** Between pictures and latents. */
  vae: AutoencoderKL;
  /** Makes embeddings of tokens. */
  textEncoder: CLIPTextModel;
  /** Cuts prompts into tokens. */
  tokenizer: CLIPTokenizer;
  /** Predicts the noise. */
  unet: UNet2DConditionModel;
  /** May be exchanged between runs. */
  scheduler: Scheduler;
}

const PARTS = {
  tokenizer: [CLIPTokenizer, "CLIPTokenizer", "CLIPTokenizerFast"],
  textEncoder: [CLIPTextModel, "CLIPTextModel"],
  unet: [UNet2DConditionModel, "UNet2DConditionModel"],
  vae: [AutoencoderKL, "AutoencoderKL"],
} as const;

/** What the pipelines of Stable Diffusion have in common. */
export abstract class StableDiffusionBase extends Pipeline<StableDiffusionParts> {
  /** The parts of a folder, a repository or a single file; the models' weights come when they are needed. */
  static async open(pathOrRepo: string, options: PipelineOptions): Promise<[StableDiffusionParts]> {
    return [await openParts(pathOrRepo, options, PARTS)];
  }

  /**
   * What the text encoder makes of prompts, as `run` takes it in their place, a row for each picture:
   * `run({ ...await pipeline.encodePrompt({ prompt }) })`.
   */
  async encodePrompt(
    options: EncodeOptions,
  ): Promise<{ promptEmbeds: Tensor; negativePromptEmbeds: Tensor }> {
    const encoder = clipEncoder(this.parts, options);
    const { uncond, cond } = await embedPrompts(this.parts, options, true, encoder);
    return { promptEmbeds: apart(cond).states, negativePromptEmbeds: apart(uncond!).states };
  }

  /** Draws pictures. */
  abstract run(options: StableDiffusionOptions): Promise<LatentOutput>;
}

/** Checks the options, sets the timesteps and embeds the prompts. */
export function begin(parts: StableDiffusionParts, options: StableDiffusionOptions): Promise<UNetRun> {
  return beginRun(parts, options, clipEncoder(parts, options), 7.5);
}
