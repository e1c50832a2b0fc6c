import { expectOptions } from "../../core/error.ts";
import { formatShape, sameNumbers } from "../../core/shape.ts";
import type { Tensor } from "../../tensor/mod.ts";
import { expectNumber } from "../run_options.ts";
import { CachedModel, type CacheState, Kept, type StepCache } from "./step_cache.ts";

/** Options of `easyCache`. */
export interface EasyCacheOptions {
  /** Sum of changes, as they are expected of the prediction, up to which the model does not run; 0.05 by default. */
  threshold?: number | undefined;
  /** Steps at the beginning at which the model runs in any case; 10 by default. */
  warmupSteps?: number | undefined;
}

/**
 * EasyCache (Zhou et al. 2025, https://arxiv.org/abs/2507.02860), as https://github.com/H-EmbodVis/EasyCache has it, for any
 * model: how much the prediction changes with the input is measured at whole steps, and the changes that are expected since
 * are summed up; while the sum is small, the prediction keeps its distance to the input. The last step is whole.
 */
export function easyCache(options: EasyCacheOptions = {}): StepCache {
  expectOptions("cache steps by EasyCache", options, ["threshold", "warmupSteps"]);
  const { threshold = 0.05, warmupSteps = 10 } = options;
  expectNumber("threshold", threshold);
  if (!(Number.isSafeInteger(warmupSteps) && warmupSteps >= 0)) {
    throw new RangeError(
      `Cannot cache steps with warmupSteps ${warmupSteps}: expected a whole number from 0`,
    );
  }
  return { begin: (model, steps) => new CachedModel(model, easyState(threshold, warmupSteps, steps)) };
}

function easyState(threshold: number, warmupSteps: number, steps: number): CacheState {
  /**
   * The input at the step before; input and prediction at the last whole one; by how much predictions change where inputs
   * change by 1 [1].
   */
  const kept = new Kept<"before" | "input" | "prediction" | "rate">();
  let step = 0;
  let sum = 0;
  return {
    look({ x }) {
      const [before, prediction, rate] = [kept.get("before"), kept.get("prediction"), kept.get("rate")];
      const isEdge = step < warmupSteps || step >= steps - 1;
      if (isEdge) sum = 0;
      step++;
      const change = isEdge || !before || !prediction || !rate
        ? undefined
        : rate.mul(distance(x, before).div(prediction.abs().mean()));
      kept.put("before", x); // behind what is recorded of the one before
      return change;
    },
    computes(change) {
      sum += change;
      if (sum < threshold) return false;
      sum = 0;
      return true;
    },
    compute({ x, run }) {
      const prediction = run();
      if (!sameNumbers(prediction.shape, x.shape)) {
        throw new RangeError(
          `Cannot cache steps by EasyCache: expected a prediction in the input's shape ${
            formatShape(x.shape)
          }, got ${formatShape(prediction.shape)}`,
        );
      }
      const [input, before] = [kept.get("input"), kept.get("prediction")];
      if (input && before) kept.put("rate", distance(prediction, before).div(distance(x, input)));
      kept.put("input", x);
      kept.put("prediction", prediction);
      return prediction;
    },
    reuse: ({ x }) => x.add(kept.get("prediction")!.sub(kept.get("input")!)),
    rehearse({ x, run }) {
      return { sample: run(), kept: 3 * 4 * x.size }; // f32
    },
    forget: () => {
      kept.drop();
      [step, sum] = [0, 0];
    },
  };
}

/** The mean distance of two tensors' values. → [1] */
function distance(a: Tensor, b: Tensor): Tensor {
  return a.sub(b).abs().mean().reshape([1]);
}
