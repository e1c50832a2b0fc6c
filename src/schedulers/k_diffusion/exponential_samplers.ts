import {
  alphaOf,
  eachStep,
  lambdaOf,
  noisesOf,
  phi1,
  phi2,
  type Run,
  type Sampler,
  type Step,
} from "./plan.ts";
import { type AncestralStep, getAncestralStep } from "../euler_ancestral.ts";

const f32 = Math.fround;
const { exp, log, sqrt } = Math;

/** The middle of a step and its end, as all that follow need them. */
interface Stage {
  /** σ there. */
  sigma: number;
  /** Weight of the image there. */
  alpha: number;
  /** Length of the way to there in λ. */
  h: number;
}

/** A place in a step: a part r of its way in λ. */
function stage({ flow }: Run, sigma: number, next: number, r: number): Stage {
  const [from, to] = [lambdaOf(sigma, flow), lambdaOf(next, flow)];
  const at = r === 1 ? next : roundedMiddle(sigma, next, r, flow);
  return { sigma: at, alpha: alphaOf(at, flow), h: (to - from) * r };
}

/**
 * The σ a part r of the way from one to the next in λ, rounded at each operation as in torch: a Brownian motion is asked for it,
 * whose times are rounded, too.
 */
function roundedMiddle(sigma: number, next: number, r: number, flow: boolean): number {
  const [from, to] = [sigma, next].map((at) => -f32(log(flow ? f32(at / f32(1 - at)) : at))) as [
    number,
    number,
  ];
  const power = f32(exp(-f32(from + f32(r * f32(to - from)))));
  return flow ? f32(1 / f32(1 + f32(1 / power))) : power;
}

/** k-diffusion's get_ancestral_step over σ / α. That of a flow begins at ten thousands, of which f32 leaves nothing. */
function ancestralStep({ flow, eta }: Run, from: number, to: number): AncestralStep {
  if (!flow) return getAncestralStep(from, to, eta);
  const up = Math.min(to, eta * to * sqrt(1 - (to / from) ** 2));
  return { down: sqrt(to ** 2 - up ** 2), up };
}

/** DPM-Solver++ of the SDE with two calls a step, r = ½ (k-diffusion's sample_dpmpp_sde, as in ComfyUI). */
export const dpmppSde: Sampler = {
  of: "denoised",
  noise: "brownian",
  eta: 1,
  needsSnr: true,
  calls: 2,
  plan: eachStep((run, { sigma, next }) => {
    if (next === 0) return [{ sigma, sample: 0, outputs: [1] }];
    const alphaS = alphaOf(sigma, run.flow);
    const part = (r: number, at: number) => {
      const to = stage(run, sigma, next, r);
      const from = sigma / alphaS;
      const { down, up } = ancestralStep(run, from, to.sigma / to.alpha);
      return {
        sigma: at,
        sample: to.alpha / alphaS * down / from,
        outputs: [to.alpha * (1 - down / from)],
        noises: noisesOf(to.alpha * up * run.s_noise),
        between: [sigma, to.sigma] as const,
      };
    };
    return [part(1 / 2, sigma), part(1, stage(run, sigma, next, 1 / 2).sigma)];
  }),
};

/** Weights of SEEDS' noise at a later place of a step: of what comes new, then of what there was. */
function carried(noises: readonly number[], h: number, eta: number): number[] {
  return [sqrt(phi1(2 * h * eta)), ...noises.map((weight) => weight * exp(-h * eta))];
}

/** One place of a step of SEEDS: the weights of x̂_0, the newest first, and of the noises so far, relative to σ. */
function place(run: Run, from: number, at: number, to: Stage, outputs: number[], noises: readonly number[]) {
  return {
    sigma: at,
    sample: to.sigma / from * exp(-to.h * run.eta),
    outputs: outputs.map((weight) => weight * to.alpha),
    noises: run.eta * run.s_noise > 0 ? noises.map((weight) => weight * to.sigma * run.s_noise) : undefined,
  };
}

/** SEEDS-2 (Gonzalez et al. 2023, https://arxiv.org/abs/2305.14267) with its middle at a part r of a step. */
function seeds2(r: number, eta: number, form: "phi_1" | "phi_2"): Sampler {
  return {
    of: "denoised",
    eta,
    needsSnr: true,
    calls: 2,
    plan: eachStep((run, { sigma, next }): Step => {
      if (next === 0) return [{ sigma, sample: 0, outputs: [1] }];
      const [mid, end] = [stage(run, sigma, next, r), stage(run, sigma, next, 1)];
      const [toMid, toEnd] = [mid, end].map(({ h }) => h * (1 + run.eta)) as [number, number];
      const late = form === "phi_1" ? phi1(toEnd) / (2 * r) : phi2(toEnd) / r;
      const noises = carried([], mid.h, run.eta);
      return [
        place(run, sigma, sigma, mid, [phi1(toMid)], noises),
        place(
          run,
          sigma,
          mid.sigma,
          end,
          [late, phi1(toEnd) - late],
          carried(noises, end.h - mid.h, run.eta),
        ),
      ];
    }),
  };
}

/** SEEDS-2 in the middle, by the first function alone. */
export const seedsTwo = seeds2(1 / 2, 1, "phi_1");
/** The exponential Heun method of the ODE (ComfyUI's sample_exp_heun_2_x0). */
export const expHeun = seeds2(1, 0, "phi_2");
/** The same of the SDE. */
export const expHeunSde = seeds2(1, 1, "phi_2");

/** SEEDS-3, with calls at the thirds of a step. */
export const seedsThree: Sampler = {
  of: "denoised",
  eta: 1,
  needsSnr: true,
  calls: 3,
  plan: eachStep((run, { sigma, next }): Step => {
    if (next === 0) return [{ sigma, sample: 0, outputs: [1] }];
    const [a, b, end] = [1 / 3, 2 / 3, 1].map((r) => stage(run, sigma, next, r)) as [Stage, Stage, Stage];
    const [toA, toB, toEnd] = [a, b, end].map(({ h }) => h * (1 + run.eta)) as [number, number, number];
    const one = carried([], a.h, run.eta);
    const two = carried(one, b.h - a.h, run.eta);
    const three = carried(two, end.h - b.h, run.eta);
    const [late, last] = [2 * phi2(toB), phi2(toEnd) * 1.5];
    return [
      place(run, sigma, sigma, a, [phi1(toA)], one),
      place(run, sigma, a.sigma, b, [late, phi1(toB) - late], two),
      place(run, sigma, b.sigma, end, [last, 0, phi1(toEnd) - last], three),
    ];
  }),
};
