import { expectOptions } from "../../core/error.ts";
import { randn, type RandomOptions } from "../../random/mod.ts";
import { scope, type Tensor, type Term, weightedSum } from "../../tensor/mod.ts";
import { getAncestralStep } from "../euler_ancestral.ts";
import { stepOfOrder } from "./dpm_fast.ts";
import type { Evaluation } from "./plan.ts";

const { atan, exp, log, sqrt } = Math;

/** Options of sampleDpmAdaptive(). */
export interface DpmAdaptiveOptions extends RandomOptions {
  /** σ where the loop ends, above 0. */
  sigmaMin: number;
  /** σ of the sample that it begins with. */
  sigmaMax: number;
  /** Order of the steps, 3 by default; the error is the distance to a step of one order less. */
  order?: 2 | 3 | undefined;
  /** Error that a value may have, relative to it; 0.05 by default. */
  rtol?: number | undefined;
  /** Error that a value may have in any case; 0.0078 by default, half a step of 8 bits. */
  atol?: number | undefined;
  /** Length of the first step in log σ; 0.05 by default. */
  hInit?: number | undefined;
  /** Weights of the error, its sum and its change in the length of the next step; 0, 1 and 0 by default. */
  pid?: readonly [p: number, i: number, d: number] | undefined;
  /** Steps that the next one would have to be shortened by more than this factor are done again; 0.81 by default. */
  acceptSafety?: number | undefined;
  /** Part of the reverse SDE's noise; 0 by default. */
  eta?: number | undefined;
  /** Standard deviation of that noise; 1 by default. */
  sNoise?: number | undefined;
}

const OPTIONS = [
  "generator",
  "sigmaMin",
  "sigmaMax",
  "order",
  "rtol",
  "atol",
  "hInit",
  "pid",
  "acceptSafety",
  "eta",
  "sNoise",
] satisfies (keyof DpmAdaptiveOptions)[];

/** Result of sampleDpmAdaptive(). */
export interface DpmAdaptiveResult {
  /** The sample at sigmaMin. */
  sample: Tensor;
  /** Steps that were kept. */
  accepted: number;
  /** Steps that were too wrong and done again. */
  rejected: number;
  /** Calls of the model. */
  calls: number;
}

/**
 * DPM-Solver-12 or -23, which choose each step by its error (Lu et al. 2022, appendix C; k-diffusion's sample_dpm_adaptive). It is
 * a function, since no one knows its timesteps beforehand: `denoise` gives x̂_0 of a sample x_0 + σ ε at σ. Each step reads its
 * error back.
 */
export async function sampleDpmAdaptive(
  denoise: (sample: Tensor, sigma: number) => Tensor | Promise<Tensor>,
  sample: Tensor,
  options: DpmAdaptiveOptions,
): Promise<DpmAdaptiveResult> {
  expectOptions("sample by dpm_adaptive", options, OPTIONS);
  const { sigmaMin, sigmaMax, order = 3, rtol = 0.05, atol = 0.0078, eta = 0, sNoise = 1, generator } =
    options;
  if (!(sigmaMin > 0 && sigmaMax > sigmaMin)) {
    throw new RangeError(
      `Cannot sample by dpm_adaptive: expected 0 < sigmaMin < sigmaMax, got ${sigmaMin} and ${sigmaMax}`,
    );
  }
  if (order !== 2 && order !== 3) {
    throw new RangeError(`Cannot sample by dpm_adaptive: expected order 2 or 3, got ${order}`);
  }
  if (!(rtol >= 0 && atol > 0)) {
    throw new RangeError(
      `Cannot sample by dpm_adaptive: expected rtol from 0 and atol above 0, got ${rtol} and ${atol}`,
    );
  }
  const controller = new StepSizeController(options, eta > 0 ? 1.5 : order);
  const end = -log(sigmaMin);
  const result = { accepted: 0, rejected: 0, calls: 0 };
  let [time, x, before, owned] = [-log(sigmaMax), sample, sample, [] as Tensor[]];

  while (time < end - 1e-5) {
    using step = scope(...owned);
    const [sigma, next] = [exp(-time), exp(-Math.min(end, time + controller.h))];
    if (!(next < sigma)) {
      throw new RangeError(
        `Cannot sample by dpm_adaptive: a step of ${controller.h} in log σ from ${sigma} leads nowhere; take a larger ` +
          "hInit, rtol or atol",
      );
    }
    const to = Math.max(sigmaMin, getAncestralStep(sigma, next, eta).down);
    const high = stepOfOrder(order, sigma, to);
    const low = stepOfOrder(order - 1, sigma, to, order === 3 ? 1 / 3 : undefined);

    const slopes: Tensor[] = []; // the newest first
    let at = x;
    let rough = x;
    for (const [i, call] of high.entries()) {
      const x0 = await denoise(at, Math.fround(call.sigma));
      slopes.unshift(at.sub(x0).div(call.sigma));
      if (i === low.length - 1) rough = total(low[i]!, x, slopes);
      at = total(call, x, slopes);
    }
    const allowed = rough.abs().maximum(before.abs()).mul(rtol).maximum(atol);
    const squares = rough.sub(at).div(allowed).square();
    const [error] = await squares.mean().sqrt().data() as ArrayLike<number> as [number];

    if (!Number.isFinite(error)) {
      throw new RangeError(
        `Cannot sample by dpm_adaptive: expected finite predictions, got an error of ${error} at σ ${sigma}`,
      );
    }
    result.calls += order;
    if (controller.accepts(error)) {
      const up = eta > 0 ? sqrt(Math.max(next ** 2 - to ** 2, 0)) * sNoise : 0;
      x = up > 0 ? weightedSum([1, at], [up, randn(x.shape, { generator })]) : at;
      [before, time] = [rough, -log(next)];
      result.accepted++;
    } else result.rejected++;
    owned = [x, before].filter((tensor) => tensor !== sample);
    for (const tensor of owned) step.keep(tensor);
  }
  return { sample: x, ...result };
}

function total({ sample, outputs }: Evaluation, x: Tensor, slopes: readonly Tensor[]): Tensor {
  return weightedSum([sample, x], ...outputs.map((weight, i): Term => [weight, slopes[i]!]));
}

/** Chooses the lengths of steps from their errors (Söderlind 2003). */
class StepSizeController {
  /** Length of the next step in log σ. */
  h: number;
  readonly #powers: readonly number[];
  readonly #acceptSafety: number;
  /** 1 / error of the step before and of the one before that. */
  #before: readonly [number, number] | undefined;

  constructor(
    { hInit = 0.05, pid: [p, i, d] = [0, 1, 0], acceptSafety = 0.81 }: DpmAdaptiveOptions,
    order: number,
  ) {
    this.h = Math.abs(hInit);
    this.#powers = [p + i + d, -(p + 2 * d), d].map((power) => power / order);
    this.#acceptSafety = acceptSafety;
  }

  /** True if a step of such an error is kept; sets the length of the next one. */
  accepts(error: number): boolean {
    const now = 1 / (error + 1e-8);
    const [last, earlier] = this.#before ??= [now, now];
    const wish = [now, last, earlier].reduce((product, x, k) => product * x ** this.#powers[k]!, 1);
    const factor = 1 + atan(wish - 1);
    const accepted = factor >= this.#acceptSafety;
    if (accepted) this.#before = [now, last];
    this.h *= factor;
    return accepted;
  }
}
