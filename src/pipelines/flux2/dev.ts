import type { Tensor } from "../../tensor/mod.ts";
import type { PipelineOptions } from "../model_index.ts";
import { openParts } from "../open_parts.ts";
import { Pipeline } from "../pipeline.ts";
import { expectEmbeds } from "../prompts.ts";
import { ownRun } from "../run.ts";
import { expectCount } from "../run_options.ts";
import { type Flux2Parts, PARTS } from "./parts.ts";
import { type Flux2Options, type Flux2Output, runFlux2, SCALE, STEPS } from "./run.ts";

/** Options of `Flux2Pipeline.run`. */
export interface Flux2RunOptions extends Flux2Options {
  /** Not built: see promptEmbeds. */
  prompt?: string | readonly string[] | undefined;
  /** Embeddings of prompts, made by FLUX.2-dev's text encoder, Mistral Small 3, elsewhere. [B, N, 15360] */
  promptEmbeds?: Tensor | undefined;
  /** Pictures of each prompt; 1 by default. */
  numImagesPerPrompt?: number | undefined;
  /** Steps of the scheduler; 50 by default. */
  numInferenceSteps?: number | undefined;
  /** Weight of the prompt, as the model was taught; 4 by default. */
  guidanceScale?: number | undefined;
}

/** Pictures from embedded texts and other pictures by FLUX.2-dev (Black Forest Labs, 2025). */
export class Flux2Pipeline extends Pipeline<Flux2Parts> {
  /** The parts of a folder, a repository or a single file, without the text encoder. */
  static async open(pathOrRepo: string, options: PipelineOptions): Promise<[Flux2Parts]> {
    return [await openParts(pathOrRepo, options, PARTS)];
  }

  /** Draws pictures of prompts that were embedded, and of the pictures that these refer to. */
  async run(options: Flux2RunOptions): Promise<Flux2Output> {
    return await ownRun("Flux2Pipeline", this.parts, options, (parts, options) => {
      const { prompt, promptEmbeds, numImagesPerPrompt = 1, guidanceScale = SCALE } = options;
      if (prompt !== undefined || !promptEmbeds) {
        throw new TypeError(
          `Cannot draw: expected promptEmbeds, got ${
            prompt === undefined ? "none" : "a prompt"
          }; the text encoder ` +
            "of FLUX.2-dev, Mistral Small 3, is not built: embed prompts elsewhere, or draw with FLUX.2 klein",
        );
      }
      expectEmbeds("promptEmbeds", promptEmbeds, parts.transformer.config.joint_attention_dim);
      expectCount("numImagesPerPrompt", numImagesPerPrompt);
      const rows = () => promptEmbeds.repeatInterleave(numImagesPerPrompt, 0).clone(); // which a run frees
      const own = { ...options, guidanceScale, usualSteps: STEPS };
      return runFlux2(parts, own, () => Promise.resolve({ cond: rows() }));
    });
  }
}
