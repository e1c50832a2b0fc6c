import {
  alphaOf,
  eachStep,
  lambdaOf,
  noisesOf,
  phi1,
  phi2,
  renoising,
  type Sampler,
  sigmaOf,
} from "./plan.ts";

const { exp, expm1, log, sqrt } = Math;

/** DPM-Solver++(2M) (Lu et al. 2022, https://arxiv.org/abs/2211.01095). */
export const dpmpp2m: Sampler = {
  of: "denoised",
  eta: 0,
  calls: 1,
  plan: eachStep(({ sigmas }, { i, past, sigma, next }) => {
    const whole = 1 - next / sigma;
    if (past === 0 || next === 0) return [{ sigma, sample: next / sigma, outputs: [whole] }];
    const ratio = log(sigma / next) / log(sigmas[i - 1]! / sigma) / 2;
    return [{ sigma, sample: next / sigma, outputs: [whole * (1 + ratio), -whole * ratio] }];
  }),
};

/** DPM-Solver++(2S) with new noise at each step. */
export const dpmpp2sAncestral: Sampler = {
  of: "denoised",
  eta: 1,
  calls: 2,
  plan: eachStep((run, { sigma, next }) => {
    const { down, scale, up } = renoising(run, sigma, next);
    if (down === 0) return [{ sigma, sample: 0, outputs: [1], noises: noisesOf(up) }];
    const lambdas = [sigma, down].map((at) => lambdaOf(at, run.flow)) as [number, number];
    const mid = run.flow && sigma === 1 ? 0.9999 : sigmaOf((lambdas[0] + lambdas[1]) / 2, run.flow);
    return [
      { sigma, sample: mid / sigma, outputs: [1 - mid / sigma] },
      {
        sigma: mid,
        sample: scale * down / sigma,
        outputs: [scale * (1 - down / sigma)],
        noises: noisesOf(up),
      },
    ];
  }),
};

/** DPM-Solver++(2M) of the SDE, by the slope of x̂_0 in the middle of a step or as Heun's method takes it. */
function dpmpp2mSdeOf(form: "midpoint" | "heun"): Sampler {
  return {
    of: "denoised",
    noise: "brownian",
    eta: 1,
    needsSnr: true,
    calls: 1,
    plan: eachStep(({ sigmas, flow, eta, s_noise }, { i, past, sigma, next }) => {
      if (next === 0) return [{ sigma, sample: 0, outputs: [1] }];
      const [before, s, t] = [sigmas[i - 1] ?? sigma, sigma, next].map((at) => lambdaOf(at, flow)) as Lambdas;
      const [h, alpha] = [t - s, alphaOf(next, flow)];
      const whole = -alpha * expm1(-h * (1 + eta));
      const slope = form === "midpoint" ? whole / 2 : alpha * phi2(h * (1 + eta));
      const change = past === 0 ? 0 : slope * h / (s - before);
      return [{
        sigma,
        sample: next / sigma * exp(-h * eta),
        outputs: past === 0 ? [whole] : [whole + change, -change],
        noises: noisesOf(next * sqrt(-expm1(-2 * h * eta)) * s_noise),
        between: [sigma, next],
      }];
    }),
  };
}

/** DPM-Solver++(2M) of the SDE. */
export const dpmpp2mSde = dpmpp2mSdeOf("midpoint");
/** The same in Heun's form. */
export const dpmpp2mSdeHeun = dpmpp2mSdeOf("heun");

/** λ before the step, at its begin and at its end. */
type Lambdas = [before: number, s: number, t: number];

/** DPM-Solver++(3M) of the SDE. */
export const dpmpp3mSde: Sampler = {
  of: "denoised",
  noise: "brownian",
  eta: 1,
  needsSnr: true,
  calls: 1,
  plan: eachStep(({ sigmas, flow, eta, s_noise }, { i, past, sigma, next }) => {
    if (next === 0) return [{ sigma, sample: 0, outputs: [1] }];
    const lambda = (k: number) => lambdaOf(sigmas[i - k]!, flow);
    const h = lambda(-1) - lambda(0);
    const [alpha, x] = [alphaOf(next, flow), h * (1 + eta)];
    const outputs = [-alpha * expm1(-x)];
    if (past > 0) {
      const r0 = (lambda(0) - lambda(1)) / h;
      const slope = [1 / r0, -1 / r0, 0]; // weights of the newest, the one before, and the one before that
      if (past === 1) addTo(outputs, slope.slice(0, 2), alpha * phi2(x));
      else {
        const r1 = (lambda(1) - lambda(2)) / h;
        const older = [0, 1 / r1, -1 / r1];
        const bend = slope.map((w, k) => (w - older[k]!) / (r0 + r1));
        addTo(outputs, slope.map((w, k) => w + bend[k]! * r0), alpha * phi2(x));
        addTo(outputs, bend, -alpha * (phi2(x) / x - 0.5));
      }
    }
    return [{
      sigma,
      sample: next / sigma * exp(-h * eta),
      outputs,
      noises: noisesOf(next * sqrt(-expm1(-2 * h * eta)) * s_noise),
      between: [sigma, next],
    }];
  }),
};

function addTo(sum: number[], weights: readonly number[], factor: number): void {
  weights.forEach((weight, k) => sum[k] = (sum[k] ?? 0) + weight * factor);
}

/** Second order in λ, from RES (Zhang et al. 2023, https://arxiv.org/abs/2308.02157; ComfyUI's res_multistep). */
export const resMultistep: Sampler = {
  of: "denoised",
  eta: 0,
  calls: 1,
  plan: eachStep((run, { i, past, sigma, next }) => {
    const noisy = { ...run, flow: false }; // ComfyUI's does not know flows
    const { down, up } = renoising(noisy, sigma, next);
    const end = { sigma, sample: down / sigma, noises: noisesOf(up) };
    if (down === 0 || past === 0) return [{ ...end, outputs: [1 - down / sigma] }];
    const before = run.sigmas[i - 1]!;
    const { down: downBefore } = renoising(noisy, before, sigma);
    const h = log(sigma / down);
    const c = log(downBefore / before) / h;
    const slope = phi2(h) / c;
    return [{ ...end, outputs: [phi1(h) - slope, slope] }];
  }),
};

/** RES with new noise at each step. */
export const resMultistepAncestral: Sampler = { ...resMultistep, eta: 1 };

/** The function that ER-SDE-Solver scales its noise by, over σ / α (Cui et al. 2023, table 5's SDE 5). */
function noiseScale(x: number): number {
  return x * (exp(x ** 0.3) + 10);
}

/** Points of the sums that stand for integrals of 1 / noiseScale, as in ER-SDE-Solver's code. */
const POINTS = 200;

/** ER-SDE-Solver-3 (Cui et al. 2023, https://arxiv.org/abs/2309.06169). */
export const erSde: Sampler = {
  of: "denoised",
  eta: 1,
  needsSnr: true,
  calls: 1,
  plan: eachStep(({ sigmas, flow, s_noise }, { i, past, sigma, next }) => {
    if (next === 0) return [{ sigma, sample: 0, outputs: [1] }];
    const ratio = (k: number) => sigmas[i - k]! / alphaOf(sigmas[i - k]!, flow);
    const [s, t] = [ratio(0), ratio(-1)];
    const [alphaS, alpha] = [sigma, next].map((at) => alphaOf(at, flow)) as [number, number];
    const r = noiseScale(t) / noiseScale(s);
    const outputs = [alpha * (1 - r)];
    if (past >= 1) {
      const [dt, width] = [t - s, (s - t) / POINTS];
      const points = Array.from({ length: POINTS }, (_, k) => t + k * width);
      const sum = (of: (x: number) => number) =>
        points.reduce((sum, x) => sum + of(x) / noiseScale(x), 0) * width;
      const slope = (k: number) => 1 / (ratio(k) - ratio(k + 1));
      const newest = [slope(0), -slope(0)];
      addTo(outputs, newest, alpha * (dt + sum(() => 1) * noiseScale(t)));
      if (past >= 2) {
        const bend = [newest[0]!, newest[1]! - slope(1), slope(1)].map((w) => w * 2 / (s - ratio(2)));
        addTo(outputs, bend, alpha * (dt ** 2 / 2 + sum((x) => x - s) * noiseScale(t)));
      }
    }
    const up = alpha * sqrt(Math.max(t ** 2 - (s * r) ** 2, 0)) * s_noise;
    return [{ sigma, sample: alpha / alphaS * r, outputs, noises: noisesOf(up) }];
  }),
};
