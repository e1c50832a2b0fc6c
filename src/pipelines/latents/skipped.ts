import { expectNumber } from "../run_options.ts";
import type { LoopModel, Weaker } from "./loop.ts";

/**
 * Options of skip layer guidance, of Stable Diffusion 3.5 (Stability AI 2024), with the names of diffusers' SkipLayerGuidance:
 * predictions are led away from those of a transformer without some of its blocks.
 */
export interface SkipLayerGuidanceOptions {
  /** Paths of the blocks that the worse model is without, e.g. ["transformer_blocks.7"]; none, which is off, by default. */
  skipLayerGuidanceLayers?: readonly string[] | undefined;
  /** Weight by which predictions are led away; 2.8 by default. */
  skipLayerGuidanceScale?: number | undefined;
  /** Part of the steps, 0 to 1, behind whose last it begins; 0.01 by default. */
  skipLayerGuidanceStart?: number | undefined;
  /** Part of the steps, 0 to 1, at which it ends; 0.2 by default. */
  skipLayerGuidanceStop?: number | undefined;
}

/** The options with their defaults. */
function settingsOf(
  {
    skipLayerGuidanceLayers: layers = [],
    skipLayerGuidanceScale: scale = 2.8,
    skipLayerGuidanceStart: start = 0.01,
    skipLayerGuidanceStop: stop = 0.2,
  }: SkipLayerGuidanceOptions,
) {
  return { layers, scale, start, stop };
}

/** The blocks that are skipped, or undefined where the options ask for none. */
export function skippedLayers(options: SkipLayerGuidanceOptions): readonly string[] | undefined {
  const { layers, scale, start, stop } = settingsOf(options);
  expectNumber("skipLayerGuidanceScale", scale);
  if (!(0 <= start && start < 1 && start <= stop && stop <= 1)) {
    throw new RangeError(
      `Cannot guide by skipped layers in the interval [${start}, ${stop}]: expected two parts of the steps from 0 to 1, ` +
        "in order",
    );
  }
  if (!Array.isArray(layers) || layers.some((layer) => typeof layer !== "string")) {
    throw new TypeError(
      `Cannot guide by skipped layers: expected a list of paths such as "transformer_blocks.7", got ${layers}`,
    );
  }
  return layers.length > 0 && scale !== 0 ? layers : undefined;
}

/** Guidance away from the predictions of a model without some of its blocks, in a run of so many steps. */
export function skipLayerGuidance(
  model: LoopModel,
  options: SkipLayerGuidanceOptions,
  steps: number,
): Weaker {
  const { scale, start, stop } = settingsOf(options);
  const [before, end] = [Math.trunc(start * steps), Math.trunc(stop * steps)]; // as diffusers counts: neither is guided
  return {
    model,
    scaleAt: (_t, step) => before < step && step < end ? scale : 0,
    combine: (prediction, cond, weak, scale, guides) =>
      (guides ? prediction : weak).add(cond.sub(weak).mul(scale)),
  };
}
