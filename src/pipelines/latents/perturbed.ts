import { expectNumber } from "../run_options.ts";
import type { LoopModel, Weaker } from "./loop.ts";

/**
 * Options of perturbed attention guidance (Ahn et al. 2024, https://arxiv.org/abs/2403.17377), with the names of diffusers'
 * PAG pipelines.
 */
export interface PerturbedAttentionOptions {
  /** Weight by which predictions are led away from those of a model whose pixels see themselves alone; 0, off, by default. */
  pagScale?: number | undefined;
  /** Taken off the weight for each timestep below 1000, until nothing is left; 0 by default. */
  pagAdaptiveScale?: number | undefined;
  /** Parts of the paths of the layers of self-attention, or regular expressions; "mid" by default. */
  pagAppliedLayers?: string | readonly string[] | undefined;
}

/** The layers in which attention is perturbed, or undefined where the options ask for none. */
export function perturbedLayers(options: PerturbedAttentionOptions): readonly string[] | undefined {
  const { pagScale = 0, pagAdaptiveScale = 0, pagAppliedLayers = "mid" } = options;
  for (const [name, value] of Object.entries({ pagScale, pagAdaptiveScale })) expectNumber(name, value);
  const layers = [pagAppliedLayers].flat() as string[];
  return pagScale > 0 && layers.length > 0 ? layers : undefined;
}

/** Guidance away from the predictions of a model whose attention is perturbed. */
export function perturbedGuidance(model: LoopModel, options: PerturbedAttentionOptions): Weaker {
  const { pagScale = 0, pagAdaptiveScale = 0 } = options;
  return {
    model,
    scaleAt: (t) => Math.max(0, pagScale - pagAdaptiveScale * (1000 - t)),
    combine: (prediction, cond, weak, scale) => prediction.add(cond.sub(weak).mul(scale)),
  };
}
