import { lagrangeIntegral } from "../lms.ts";
import { eachStep, type Evaluation, noisesOf, renoising, type Run, type Sampler, type Step } from "./plan.ts";

const f32 = Math.fround;
const { exp, log, sqrt } = Math;

/** σ̂ of a step: σ, raised by churn (Karras et al. 2022, Algorithm 2, line 5). */
function raised({ sigmas, s_churn, s_tmin, s_tmax }: Run, i: number): number {
  const sigma = sigmas[i]!;
  const gamma = sigma >= s_tmin && sigma <= s_tmax
    ? Math.min(s_churn / (sigmas.length - 1), Math.SQRT2 - 1)
    : 0;
  return gamma > 0 ? f32(sigma * f32(gamma + 1)) : sigma;
}

/** The noise that churn adds before the step behind this one. */
function churn(run: Run, i: number): readonly number[] | undefined {
  const [sigma, hat] = [run.sigmas[i + 1]!, raised(run, i + 1)];
  return i + 2 < run.sigmas.length ? noisesOf(sqrt(hat ** 2 - sigma ** 2) * run.s_noise) : undefined;
}

/** σ halfway between two in log σ. */
function middle(sigma: number, next: number): number {
  return exp((log(sigma) + log(next)) / 2);
}

/** Along the derivative at σ, to `next`. */
function straight(sigma: number, next: number, noises?: readonly number[]): Evaluation {
  return { sigma, sample: 1, outputs: [next - sigma], noises };
}

/** Euler's method (Karras et al. 2022, Algorithm 2 without its correction). */
export const euler: Sampler = {
  of: "derivative",
  eta: 0,
  calls: 1,
  plan: eachStep((run, { i, next }) => [straight(raised(run, i), next, churn(run, i))]),
};

/** Euler's method with new noise at each step. */
export const eulerAncestral: Sampler = {
  of: "derivative",
  eta: 1,
  calls: 1,
  plan: eachStep((run, { sigma, next }) => {
    const { down, scale, up } = renoising(run, sigma, next);
    return [{ sigma, sample: scale, outputs: [scale * (down - sigma)], noises: noisesOf(up) }];
  }),
};

/** Heun's method (Karras et al. 2022, Algorithm 2). */
export const heun: Sampler = {
  of: "derivative",
  eta: 0,
  calls: 2,
  plan: eachStep((run, { i, next }) => {
    const sigma = raised(run, i);
    if (next === 0) return [straight(sigma, next)];
    const half = (next - sigma) / 2;
    return [straight(sigma, next), { sigma: next, sample: 1, outputs: [half, half], noises: churn(run, i) }];
  }),
};

/** The midpoint method in log σ, DPM-Solver-2 of Karras et al. 2022. */
export const dpm2: Sampler = {
  of: "derivative",
  eta: 0,
  calls: 2,
  plan: eachStep((run, { i, next }) => {
    const sigma = raised(run, i);
    if (next === 0) return [straight(sigma, next)];
    const mid = middle(sigma, next);
    return [straight(sigma, mid), { sigma: mid, sample: 1, outputs: [next - sigma], noises: churn(run, i) }];
  }),
};

/** The midpoint method with new noise at each step. */
export const dpm2Ancestral: Sampler = {
  of: "derivative",
  eta: 1,
  calls: 2,
  plan: eachStep((run, { sigma, next }) => {
    const { down, scale, up } = renoising(run, sigma, next);
    if (down === 0) return [straight(sigma, 0)];
    const mid = middle(sigma, down);
    return [
      straight(sigma, mid),
      { sigma: mid, sample: scale, outputs: [scale * (down - sigma)], noises: noisesOf(up) },
    ];
  }),
};

/**
 * Heun++, the mean of three derivatives by their σ (ComfyUI's sample_heunpp2). Its last step but one has two calls.
 */
export const heunpp2: Sampler = {
  of: "derivative",
  eta: 0,
  calls: 3,
  plan: eachStep((run, { i, next }): Step => {
    const { sigmas } = run;
    const [sigma, end] = [raised(run, i), sigmas[sigmas.length - 1]!];
    if (next === end) return [straight(sigma, next)];
    const [dt, noises] = [next - sigma, churn(run, i)] as const;
    const behind = sigmas[i + 2]!;
    if (behind === end) {
      const second = next / (2 * sigmas[run.begin]!);
      return [straight(sigma, next), {
        sigma: next,
        sample: 1,
        outputs: [second * dt, (1 - second) * dt],
        noises,
      }];
    }
    const [second, third] = [next, behind].map((at) => at / (3 * sigmas[run.begin]!)) as [number, number];
    return [
      straight(sigma, next),
      { sigma: next, sample: 1, outputs: [behind - next, dt] },
      { sigma: behind, sample: 1, outputs: [third, second, 1 - second - third].map((w) => w * dt), noises },
    ];
  }),
};

/** The linear multistep method of Adams and Bashforth in σ. */
export const lms: Sampler = {
  of: "derivative",
  eta: 0,
  calls: 1,
  plan: eachStep(({ sigmas, order }, { i, past, sigma, next }) => {
    const nodes = Array.from({ length: Math.min(past + 1, order) }, (_, k) => sigmas[i - k]!);
    return [{ sigma, sample: 1, outputs: nodes.map((_, k) => lagrangeIntegral(nodes, k, next)) }];
  }),
};

/** Weights of the derivatives of the last steps where all are as long (Liu et al. 2022, PNDM, eq. 12). */
const evenWeights = [[1], [3 / 2, -1 / 2], [23 / 12, -16 / 12, 5 / 12], [
  55 / 24,
  -59 / 24,
  37 / 24,
  -9 / 24,
]] as const;

/** Improved PNDM over σ (Zhang & Chen 2022; ComfyUI's sample_ipndm): weights of even steps, to the image at last. */
export const ipndm: Sampler = {
  of: "derivative",
  eta: 0,
  calls: 1,
  plan: eachStep(({ order }, { past, sigma, next }) => {
    const used = next === 0 ? 1 : Math.min(past + 1, order, evenWeights.length);
    return [{ sigma, sample: 1, outputs: evenWeights[used - 1]!.map((w) => w * (next - sigma)) }];
  }),
};

/** iPNDM with weights by the lengths of the steps: those of Adams and Bashforth (ComfyUI's sample_ipndm_v). */
export const ipndmV: Sampler = {
  of: "derivative",
  eta: 0,
  calls: 1,
  plan: eachStep(({ sigmas, order }, { i, past, sigma, next }) => {
    const used = next === 0 ? 1 : Math.min(past + 1, order, evenWeights.length);
    const steps = Array.from({ length: used }, (_, k) => sigmas[i - k + 1]! - sigmas[i - k]!);
    return [{ sigma, sample: 1, outputs: unevenWeights(steps).map((w) => w * (next - sigma)) }];
  }),
};

/** Weights of derivatives for steps of these lengths, the newest first, as the code of Zhang & Chen has them. */
function unevenWeights(steps: readonly number[]): number[] {
  const [h, h1, h2, h3] = steps as [number, number, number, number];
  if (steps.length === 1) return [1];
  const half = h / h1 / 2;
  if (steps.length === 2) return [1 + half, -half];
  const a = (1 - h / (3 * (h + h1)) * (h * (h + h1)) / (h1 * (h1 + h2))) / 2;
  const three = [1 + half + a, -half - (1 + h1 / h2) * a, a * h1 / h2] as const;
  if (steps.length === 3) return [...three];
  const b = ((1 - h / (3 * (h + h1))) / 2 + (1 - h / (2 * (h + h1))) * h / (6 * (h + h1 + h2))) *
    (h * (h + h1) * (h + h1 + h2)) / (h1 * (h1 + h2) * (h1 + h2 + h3));
  const c = h1 * (h1 + h2) / (h2 * (h2 + h3));
  return [
    three[0] + b,
    three[1] - (1 + h1 / h2 + c) * b,
    three[2] + (h1 / h2 + c * (1 + h2 / h3)) * b,
    -b * c * h1 / h2,
  ];
}

/** Gradient estimation with γ = 2 (Permenter & Yuan 2024, https://openreview.net/pdf?id=o2ND9v0CeK). */
export const gradientEstimation: Sampler = {
  of: "derivative",
  eta: 0,
  calls: 1,
  plan: eachStep((_, { past, sigma, next }) => {
    const dt = next - sigma;
    return [{ sigma, sample: 1, outputs: next === 0 || past === 0 ? [dt] : [2 * dt, -dt] }];
  }),
};
