import { expectOptions } from "../../core/error.ts";
import { FluxTransformer2DModel } from "../../models/mod.ts";
import { expectNumber } from "../run_options.ts";
import { CachedModel, type CacheState, Kept, relativeChange, type StepCache } from "./step_cache.ts";

/** Options of `teaCache`. */
export interface TeaCacheOptions {
  /** Sum of changes, as they are expected of the result, up to which the blocks are left out; 0.4 by default. */
  threshold?: number | undefined;
  /**
   * Coefficients of the polynomial that makes the expected change of the result of that of the input, the highest power
   * first; by default those that TeaCache's authors fitted to FLUX.1-dev.
   */
  coefficients?: readonly number[] | undefined;
}

const FLUX_COEFFICIENTS = [4.98651651e+02, -2.83781631e+02, 5.58554382e+01, -3.82021401e+00, 2.64230861e-01];

/**
 * TeaCache (Liu et al. 2024, https://arxiv.org/abs/2411.19108) for FLUX.1, as https://github.com/ali-vilab/TeaCache has it:
 * changes of the first block's input, behind its norm and modulation, are summed up from step to step; while the sum is small,
 * no block runs, and all are taken to add what they added at the last whole step. The first and the last step are whole.
 */
export function teaCache(options: TeaCacheOptions = {}): StepCache {
  expectOptions("cache steps by TeaCache", options, ["threshold", "coefficients"]);
  const { threshold = 0.4, coefficients = FLUX_COEFFICIENTS } = options;
  expectNumber("threshold", threshold);
  for (const coefficient of coefficients) expectNumber("coefficients", coefficient);
  return {
    begin(model, steps) {
      const isFlux: boolean = model instanceof FluxTransformer2DModel;
      if (!isFlux) {
        throw new TypeError(
          `Cannot cache steps of ${model.constructor.name} by TeaCache: expected FluxTransformer2DModel; ` +
            "firstBlockCache() takes any transformer",
        );
      }
      return new CachedModel(model, teaState(threshold, coefficients, steps));
    },
  };
}

function teaState(threshold: number, coefficients: readonly number[], steps: number): CacheState {
  /** The first block's input at this step, and behind its norm; what all blocks added at the last whole step. */
  const kept = new Kept<"image" | "modulated" | "residual">();
  let step = 0;
  let sum = 0;
  return {
    look({ parts }) {
      const { image, modulated } = parts().front();
      const before = kept.get("modulated");
      const isEdge = step === 0 || step === steps - 1 || !kept.get("residual");
      const change = isEdge || !before ? undefined : relativeChange(modulated, before);
      if (isEdge) sum = 0;
      kept.put("image", image);
      kept.put("modulated", modulated);
      step++;
      return change;
    },
    computes(change) {
      sum += coefficients.reduce((value, coefficient) => value * change + coefficient, 0);
      if (sum < threshold) return false;
      sum = 0;
      return true;
    },
    compute({ parts, cut }) {
      const { sample, residual } = parts().whole();
      kept.put("residual", residual);
      return cut(sample);
    },
    reuse: ({ parts, cut }) => cut(parts().behind(kept.get("image")!, kept.get("residual")!)),
    rehearse({ parts, cut }) {
      const apart = parts();
      const { image } = apart.front();
      const { sample, residual } = apart.whole();
      apart.behind(image, residual);
      return { sample: cut(sample), kept: 3 * 4 * residual.size }; // f32
    },
    forget: () => {
      kept.drop();
      [step, sum] = [0, 0];
    },
  };
}
