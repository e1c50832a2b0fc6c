import { expectOptions } from "../../core/error.ts";
import { formatShape } from "../../core/shape.ts";
import { release, retain, type Tensor, where, zerosLike } from "../../tensor/mod.ts";
import { expectCount, expectNumber } from "../run_options.ts";

/** One run's way to make a prediction of the two of a step. */
export interface Guide extends Disposable {
  /**
   * The prediction to go on with, of those on the prompt and on the negative one, by the weight of the prompt
   * at a step, counted from 0. cond, uncond [B, ...] → [B, ...]
   */
  combine(cond: Tensor, uncond: Tensor, scale: number, step: number): Tensor;
}

/** A kind of guidance with its options: the `guidance` of a pipeline's run, or of a loop by `begin()`. */
export interface Guidance {
  /** Begins a run: some kinds remember the steps before. */
  begin(): Guide;
  /** True for those that remember: such runs do not outlive their device. */
  readonly remembers: boolean;
}

/** Options of `apg`. */
export interface ApgOptions {
  /** Part of the differences before that a step adds to its own, e.g. -0.5; 0 by default. */
  momentum?: number | undefined;
  /** The longest that a difference may be, by its Euclidean norm; 0 is without a bound. 15 by default. */
  normThreshold?: number | undefined;
  /** Part of the difference along the prompt's prediction that stays; 1 by default, which is all of it. */
  eta?: number | undefined;
}

/**
 * Adaptive projected guidance (Sadat et al. 2024, https://arxiv.org/abs/2410.02416), diffusers'
 * AdaptiveProjectedGuidance: the part of the difference along the prediction, which saturates colours, can be
 * taken less of.
 */
export function apg(options: ApgOptions = {}): Guidance {
  expectOptions("guide by APG", options, ["momentum", "normThreshold", "eta"]);
  const { momentum = 0, normThreshold = 15, eta = 1 } = options;
  for (const [name, value] of Object.entries({ momentum, normThreshold, eta })) expectNumber(name, value);
  return {
    remembers: momentum !== 0,
    begin() {
      let average: Tensor | undefined;
      const remember = (next?: Tensor) => {
        if (next) retain(next);
        if (average) release(average);
        average = next;
      };
      return {
        combine(cond, uncond, scale) {
          let difference = cond.sub(uncond);
          if (momentum !== 0) {
            if (average) difference = difference.add(average.mul(momentum));
            remember(difference);
          }
          if (normThreshold > 0) {
            const fitted = rowNorm(difference).reciprocal().mul(normThreshold).clamp(undefined, 1);
            difference = difference.mul(fitted);
          }
          const direction = cond.div(rowNorm(cond).clamp(1e-12)); // torch's normalize
          const along = direction.mul(rowSum(difference.mul(direction)));
          return uncond.add(difference.sub(along).add(along.mul(eta)).mul(scale));
        },
        [Symbol.dispose]: () => remember(),
      };
    },
  };
}

/** Options of `cfgZeroStar`. */
export interface CfgZeroStarOptions {
  /** First steps whose prediction is 0; 1 by default. */
  zeroInitSteps?: number | undefined;
}

/**
 * CFG-Zero* (Fan et al. 2025, https://arxiv.org/abs/2503.18886), diffusers' ClassifierFreeZeroStarGuidance, for
 * models of flow: the negative prediction is scaled to lie nearest to the prompt's, and the first steps stay.
 */
export function cfgZeroStar(options: CfgZeroStarOptions = {}): Guidance {
  expectOptions("guide by CFG-Zero*", options, ["zeroInitSteps"]);
  const { zeroInitSteps = 1 } = options;
  if (zeroInitSteps !== 0) expectCount("zeroInitSteps", zeroInitSteps);
  return withoutMemory((cond, uncond, scale, step) => {
    if (step < zeroInitSteps) return zerosLike(cond);
    const nearest = rowSum(cond.mul(uncond)).div(rowSum(uncond.square()).add(1e-8));
    return uncond.mul(nearest).lerp(cond, scale);
  });
}

/**
 * Guidance, plain or another kind, whose result is cut to at most `most` times the Euclidean norm of the prompt's prediction,
 * each row by itself: `cfg_normalization` of Z-Image and Lumina 2.
 */
export function cfgNormalization(most = 1, inner?: Guidance): Guidance {
  if (!(most > 0)) {
    throw new RangeError(`Cannot guide by a norm of at most ${most} times: expected a number above 0`);
  }
  return {
    remembers: inner?.remembers ?? false,
    begin() {
      const guide = inner?.begin();
      return {
        combine(cond, uncond, scale, step) {
          const guided = guide ? guide.combine(cond, uncond, scale, step) : uncond.lerp(cond, scale);
          const fitted = rowNorm(cond).mul(most).div(rowNorm(guided).clamp(1e-12)).clamp(undefined, 1);
          return guided.mul(fitted);
        },
        [Symbol.dispose]: () => guide?.[Symbol.dispose](),
      };
    },
  };
}

/** Options of `dynamicThresholding`. */
export interface DynamicThresholdingOptions {
  /** The weight of the prompt whose spread of values the result has; 7 by default. */
  mimicScale?: number | undefined;
  /** Part of each channel's values within the bound, 0 to 1; 1 by default. */
  thresholdPercentile?: number | undefined;
  /** Part of the result that is taken, the rest being plain guidance; 1 by default. */
  interpolatePhi?: number | undefined;
}

/**
 * Dynamic thresholding as in https://github.com/mcmonkeyprojects/sd-dynamic-thresholding, for large weights of
 * the prompt: values around each channel's mean are cut and scaled to the range that `mimicScale` would give.
 */
export function dynamicThresholding(options: DynamicThresholdingOptions = {}): Guidance {
  expectOptions("guide by dynamic thresholding", options, [
    "mimicScale",
    "thresholdPercentile",
    "interpolatePhi",
  ]);
  const { mimicScale = 7, thresholdPercentile = 1, interpolatePhi = 1 } = options;
  for (const [name, value] of Object.entries({ mimicScale, interpolatePhi })) expectNumber(name, value);
  if (!(thresholdPercentile >= 0 && thresholdPercentile <= 1)) {
    throw new RangeError(
      `Cannot guide with thresholdPercentile ${thresholdPercentile}: expected a part from 0 to 1`,
    );
  }
  return withoutMemory((cond, uncond, scale) => {
    if (cond.rank !== 4) {
      throw new RangeError(
        `Cannot guide by dynamic thresholding: expected predictions [B, C, h, w], got ${
          formatShape(cond.shape)
        }; it is for UNets`,
      );
    }
    const guided = uncond.lerp(cond, scale);
    const values = guided.flatten(2);
    const mean = values.mean(2, { keepdim: true });
    const centered = values.sub(mean);
    const mimic = uncond.lerp(cond, mimicScale).flatten(2);
    const most = mimic.sub(mimic.mean(2, { keepdim: true })).abs().max(2, { keepdim: true });
    const reached = centered.abs().quantile(thresholdPercentile, 2, { keepdim: true });
    const bound = most.maximum(reached);
    const cut = centered.minimum(bound).maximum(bound.neg());
    const scaled = where(bound.gt(0), cut.div(bound).mul(most), cut).add(mean);
    return guided.lerp(scaled.reshape(guided.shape), interpolatePhi);
  });
}

function withoutMemory(combine: Guide["combine"]): Guidance {
  return { remembers: false, begin: () => ({ combine, [Symbol.dispose]: () => {} }) };
}

/** Sum of all values of a row of the batch. x [B, ...] → [B, 1, ...] */
function rowSum(x: Tensor): Tensor {
  return x.sum(insideRows(x), { keepdim: true });
}

/** Euclidean norm of each row of the batch. x [B, ...] → [B, 1, ...] */
function rowNorm(x: Tensor): Tensor {
  return x.norm(2, insideRows(x), { keepdim: true });
}

/** All axes but the batch's. */
function insideRows(x: Tensor): number[] {
  return x.shape.slice(1).map((_, i) => i + 1);
}
