import { AutoencoderKL, CLIPTextModel, FluxTransformer2DModel, T5EncoderModel } from "../../models/mod.ts";
import type { Scheduler } from "../../schedulers/mod.ts";
import { CLIPTokenizer, T5TokenizerFast } from "../../tokenizers/mod.ts";
import type { Residents } from "../memory/residency.ts";
import type { PipelineOptions } from "../model_index.ts";
import { openParts } from "../open_parts.ts";
import { Pipeline } from "../pipeline.ts";
import { type PooledPromptEmbeds, spreadTexts } from "../prompts.ts";
import { embedPrompts, type FluxEncodeOptions } from "./prompts.ts";
import type { FluxOptions, FluxOutput } from "./run.ts";

/** What FLUX is made of; pipelines may share parts. */
export interface FluxParts extends Residents {
  /** Between pictures and latents of 16 channels. */
  vae: AutoencoderKL;
  /** CLIP, of which only the state of a whole text is taken. */
  textEncoder: CLIPTextModel;
  /** T5, which tells the transformer every token. */
  textEncoder2: T5EncoderModel;
  /** Of textEncoder. */
  tokenizer: CLIPTokenizer;
  /** Of textEncoder2. */
  tokenizer2: T5TokenizerFast;
  /** Predicts the velocity from noise to the picture. */
  transformer: FluxTransformer2DModel;
  /** May be exchanged between runs. */
  scheduler: Scheduler;
}

const PARTS = {
  tokenizer: [CLIPTokenizer, "CLIPTokenizer", "CLIPTokenizerFast"],
  tokenizer2: [T5TokenizerFast, "T5TokenizerFast", "T5Tokenizer"],
  textEncoder: [CLIPTextModel, "CLIPTextModel"],
  textEncoder2: [T5EncoderModel, "T5EncoderModel"],
  transformer: [FluxTransformer2DModel, "FluxTransformer2DModel"],
  vae: [AutoencoderKL, "AutoencoderKL"],
} as const;

/** What the pipelines of FLUX have in common. */
export abstract class FluxBase extends Pipeline<FluxParts> {
  /** The parts of a folder, a repository or a single file; the models' weights come when they are needed. */
  static async open(pathOrRepo: string, options: PipelineOptions): Promise<[FluxParts]> {
    return [await openParts(pathOrRepo, options, PARTS)];
  }

  /**
   * What the text encoders make of prompts, as `run` takes it in their place, a row for each picture:
   * `run({ ...await pipeline.encodePrompt({ prompt }) })`. Negative prompts are embedded where there are any.
   */
  async encodePrompt(options: FluxEncodeOptions): Promise<PooledPromptEmbeds> {
    const { prompt, prompt2, negativePrompt, negativePrompt2, ...others } = options;
    const embed = async (prompt: FluxEncodeOptions["prompt"], prompt2: FluxEncodeOptions["prompt2"]) => {
      const { embeddings } = await embedPrompts(this.parts, { ...others, prompt, prompt2 });
      return embeddings[0]!;
    };
    const cond = await embed(prompt, prompt2);
    const positive = { promptEmbeds: cond.states, pooledPromptEmbeds: cond.pooled };
    if (negativePrompt === undefined) return positive;
    const count = [prompt].flat().length;
    const uncond = await embed(spreadTexts(negativePrompt, count, "negative prompt"), negativePrompt2);
    return { ...positive, negativePromptEmbeds: uncond.states, negativePooledPromptEmbeds: uncond.pooled };
  }

  /** Draws pictures. */
  abstract run(options: FluxOptions): Promise<FluxOutput>;
}
