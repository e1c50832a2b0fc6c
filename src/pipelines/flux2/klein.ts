import { tellUnguided } from "../latents/guidance.ts";
import type { LatentLoopOptions } from "../latents/loop.ts";
import type { PipelineOptions } from "../model_index.ts";
import { Pipeline } from "../pipeline.ts";
import type { PromptEmbedsOptions } from "../prompts.ts";
import { ownRun } from "../run.ts";
import { expectEncodeOptions } from "../run_options.ts";
import { type Flux2KleinParts, openKleinParts } from "./klein_parts.ts";
import { embedPrompts, type Flux2KleinEncodeOptions, type Flux2KleinPromptOptions } from "./prompts.ts";
import { type Flux2Options, type Flux2Output, runFlux2, SCALE, STEPS } from "./run.ts";

const DISTILLED_STEPS = 4;

/** Options of `Flux2KleinPipeline.run`. */
export interface Flux2KleinRunOptions
  extends
    Flux2Options,
    Flux2KleinPromptOptions,
    Pick<LatentLoopOptions, "guidance" | "guidanceInterval" | "guidanceRescale"> {
  /** Steps of the scheduler; of a distilled model 4, else 50. */
  numInferenceSteps?: number | undefined;
  /** Weight of the prompt against the negative one; 4 by default. A distilled model runs without guidance. */
  guidanceScale?: number | undefined;
  /** Told in one line what of a prompt was cut, and which options have no effect; console.warn by default. */
  onNotice?: ((line: string) => void) | undefined;
}

/**
 * Pictures from texts and other pictures by FLUX.2 klein (Black Forest Labs, 2026), distilled to four steps, or its base
 * model.
 */
export class Flux2KleinPipeline extends Pipeline<Flux2KleinParts> {
  /** The parts of a folder, a repository or a single file; the models' weights are loaded when they are needed. */
  static async open(pathOrRepo: string, options: PipelineOptions): Promise<[Flux2KleinParts]> {
    return [await openKleinParts(pathOrRepo, options)];
  }

  /**
   * Embeds prompts, a row for each picture, as `run` takes them in their place:
   * `run({ ...await pipeline.encodePrompt({ prompt }) })`. Negative prompts are embedded unless the model is distilled.
   */
  async encodePrompt(options: Flux2KleinEncodeOptions): Promise<PromptEmbedsOptions> {
    expectEncodeOptions("Flux2KleinPipeline", options);
    const { cond, uncond } = await embedPrompts(this.parts, options, !this.parts.isDistilled);
    return { promptEmbeds: cond, negativePromptEmbeds: uncond };
  }

  /** Draws pictures of prompts, and of the pictures that these refer to. */
  async run(options: Flux2KleinRunOptions): Promise<Flux2Output> {
    return await ownRun("Flux2KleinPipeline", this.parts, options, (parts, options) => {
      const { isDistilled } = parts;
      const { guidanceScale = SCALE } = options;
      const guided = guidanceScale > 1 && !isDistilled;
      tellUnguided(guided, options);
      if (isDistilled && options.guidanceScale && guidanceScale > 1) {
        const { onNotice = console.warn } = options;
        onNotice(
          `guidanceScale ${guidanceScale} has no effect: the model was distilled to run without guidance`,
        );
      }
      const usualSteps = isDistilled ? DISTILLED_STEPS : STEPS;
      const own = { ...options, guidanceScale, usualSteps };
      return runFlux2(parts, own, () => embedPrompts(parts, options, guided));
    });
  }
}
