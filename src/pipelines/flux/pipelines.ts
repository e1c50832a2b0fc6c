import { firstNoise } from "../../random/mod.ts";
import type { Tensor } from "../../tensor/mod.ts";
import { sliceFlowByStrength } from "../latents/flow.ts";
import { type ChangedSizeOptions, noisedLatents, originalSize, readOriginal } from "../latents/init_image.ts";
import type { SizeOptions } from "../size.ts";
import type { PipelineOptions } from "../model_index.ts";
import { openParts } from "../open_parts.ts";
import { Pipeline } from "../pipeline.ts";
import { type PooledPromptEmbeds, spreadTexts } from "../prompts.ts";
import { ownRun } from "../run.ts";
import { expectEncodeOptions } from "../run_options.ts";
import { type FluxParts, PARTS } from "./parts.ts";
import { embedPrompts, type FluxEncodeOptions } from "./prompts.ts";
import { beginRun, draw, type FluxOptions, type FluxOutput, latentSize, startLatents } from "./run.ts";

/** The parts and the prompts of all pipelines of FLUX. */
export abstract class FluxBase<Parts extends FluxParts = FluxParts> extends Pipeline<Parts> {
  /** The parts of a folder, a repository or a single file; the models' weights are loaded when they are needed. */
  static async open(pathOrRepo: string, options: PipelineOptions): Promise<[FluxParts]> {
    return [await openParts(pathOrRepo, options, PARTS)];
  }

  /**
   * Embeds prompts, a row for each picture, as `run` takes them in their place:
   * `run({ ...await pipeline.encodePrompt({ prompt }) })`. Negative prompts are embedded where there are any.
   */
  async encodePrompt(options: FluxEncodeOptions): Promise<PooledPromptEmbeds> {
    expectEncodeOptions("FluxPipeline", options);
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

/** Options of `FluxPipeline.run`; guidanceScale is 3.5 by default, and sides are 1024 pixels. */
export interface FluxRunOptions extends FluxOptions, SizeOptions {}

/** Pictures from texts by FLUX.1, a transformer that follows a flow from noise (Black Forest Labs, 2024). */
export class FluxPipeline extends FluxBase {
  /** Draws pictures of prompts. */
  async run(options: FluxRunOptions): Promise<FluxOutput> {
    return await ownRun("FluxPipeline", this.parts, options, async (parts, options) => {
      const { height, width, generator } = options;
      using run = await beginRun(parts, options, latentSize(parts, height, width), { usualScale: 3.5 });
      const shape = [run.B, parts.vae.config.latent_channels, ...run.size];
      const start = await startLatents(parts, run, () => firstNoise(shape, { generator }));
      return await draw(parts, run, { start, timesteps: parts.scheduler.timesteps });
    });
  }
}

/** Options of `FluxImg2ImgPipeline.run`; guidanceScale is 7 by default. */
export interface FluxImg2ImgRunOptions extends FluxOptions, ChangedSizeOptions {
  /** The picture to change, in [0, 1]: one for all, or one for each that is drawn. [1 or B, 3, H, W] */
  image: Tensor;
  /** Share of it that is replaced: near 0 little, 1 all. By default 0.6. */
  strength?: number | undefined;
}

/** Pictures from a picture and a text by FLUX.1 (Black Forest Labs, 2024). */
export class FluxImg2ImgPipeline extends FluxBase {
  /** Draws a changed picture. Random numbers go to its latents first, then to the noise. */
  async run(options: FluxImg2ImgRunOptions): Promise<FluxOutput> {
    return await ownRun("FluxImg2ImgPipeline", this.parts, options, async (parts, options) => {
      const { image, strength = 0.6 } = options;
      const { vae } = parts;
      const multiple = 2 * vae.scaleFactor;
      const size = originalSize(image, vae, options, multiple);
      using run = await beginRun(parts, options, size, { usualScale: 7 });
      const timesteps = sliceFlowByStrength(parts.scheduler, strength, run.steps);
      const start = await startLatents(parts, run, async () => {
        const original = await readOriginal(image, run, vae, options, multiple);
        return await noisedLatents(parts, original, run, timesteps[0], options, "picture");
      });
      return await draw(parts, run, { start, timesteps });
    });
  }
}
