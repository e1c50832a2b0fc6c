import type { NoiseLevel } from "./sigmas.ts";

const f32 = Math.fround;
const { exp, expm1, sqrt } = Math;

/** The keys that choose DPM-Solver's formula. */
export interface DPMSolverMethod {
  /**
   * Over the noise ("dpmsolver") or the image ("dpmsolver++") that the model sees,
   * of the ODE or of the SDE ("sde-").
   */
  algorithm_type: "dpmsolver" | "dpmsolver++" | "sde-dpmsolver" | "sde-dpmsolver++";
  /** The place where a step of order 2 takes the slope. */
  solver_type: "midpoint" | "heun";
}

/** Weights of the terms that a step adds up. */
export interface StepWeights {
  /** Weight of the sample. */
  sample: number;
  /** Weights of the model outputs, the newest first. */
  outputs: number[];
  /** Standard deviation of new noise. */
  noise: number;
}

/**
 * Weights of the sample, of the model's output and of its derivatives in λ,
 * over a step of length h; and of noise.
 */
interface Integrals {
  sample: number;
  constant: number;
  linear: number;
  quadratic: number;
  noise: number;
}

/**
 * Lu et al. 2022, eq. 3.4 (https://arxiv.org/abs/2206.00927) and eq. 9 of DPM-Solver++
 * (https://arxiv.org/abs/2211.01095).
 */
const integrals: Record<
  DPMSolverMethod["algorithm_type"],
  (s: NoiseLevel, t: NoiseLevel, h: number) => Integrals
> = {
  "dpmsolver": (s, t, h) => ({
    sample: t.alpha / s.alpha,
    constant: -t.sigma * expm1(h),
    linear: -t.sigma * (expm1(h) / h - 1),
    quadratic: -t.sigma * ((expm1(h) - h) / h ** 2 - 0.5),
    noise: 0,
  }),
  "dpmsolver++": (s, t, h) => ({
    sample: t.sigma / s.sigma,
    constant: -t.alpha * expm1(-h),
    linear: t.alpha * (expm1(-h) / h + 1),
    quadratic: -t.alpha * ((expm1(-h) + h) / h ** 2 - 0.5),
    noise: 0,
  }),
  "sde-dpmsolver": (s, t, h) => ({
    sample: t.alpha / s.alpha,
    constant: -2 * t.sigma * expm1(h),
    linear: -2 * t.sigma * (expm1(h) / h - 1),
    quadratic: NaN, // nobody has derived it
    noise: t.sigma * sqrt(expm1(2 * h)),
  }),
  "sde-dpmsolver++": (s, t, h) => ({
    sample: t.sigma / s.sigma * exp(-h),
    constant: -t.alpha * expm1(-2 * h),
    linear: t.alpha * (expm1(-2 * h) / (2 * h) + 1),
    quadratic: -t.alpha * ((expm1(-2 * h) + 2 * h) / (2 * h) ** 2 + 0.5),
    noise: t.sigma * sqrt(-expm1(-2 * h)),
  }),
};

/**
 * A step to `t` from the last of the levels `s`, the newest first;
 * the outputs at the others tell the derivatives.
 */
export function multistepWeights(
  method: DPMSolverMethod,
  t: NoiseLevel,
  s: readonly NoiseLevel[],
): StepWeights {
  const h = f32(t.lambda - s[0]!.lambda);
  const weights = integrals[method.algorithm_type](s[0]!, t, h);
  const slope = method.solver_type === "midpoint" ? weights.constant / 2 : weights.linear;
  if (s.length === 1) return add(weights, [weights.constant, [1]]);
  const r0 = f32(s[0]!.lambda - s[1]!.lambda) / h;
  const first = [1 / r0, -1 / r0]; // D1 between the newest two outputs
  if (s.length === 2) return add(weights, [weights.constant, [1]], [slope, first]);
  if (Number.isNaN(weights.quadratic)) {
    throw new RangeError(
      `Cannot take a step of order 3 with algorithm_type "${method.algorithm_type}": set solver_order to 2`,
    );
  }
  const r1 = f32(s[1]!.lambda - s[2]!.lambda) / h;
  const change = [1 / r0, -1 / r0 - 1 / r1, 1 / r1]; // from the D1 before
  return add(
    weights,
    [weights.constant, [1]],
    [weights.linear, first],
    [weights.linear * r0 / (r0 + r1) + weights.quadratic / (r0 + r1), change],
  );
}

/**
 * A step to `t` from the oldest of the levels `s`,
 * the newest first, once more with what was learned on the way.
 */
export function singlestepWeights(
  method: DPMSolverMethod,
  t: NoiseLevel,
  s: readonly NoiseLevel[],
): StepWeights {
  const start = s[s.length - 1]!;
  const h = f32(t.lambda - start.lambda);
  const weights = integrals[method.algorithm_type](start, t, h);
  const slope = method.solver_type === "midpoint" ? weights.constant / 2 : weights.linear;
  if (s.length === 1) return add(weights, [weights.constant, [1]]);
  const r0 = f32(s[0]!.lambda - start.lambda) / h;
  if (s.length === 2) return add(weights, [weights.constant, [0, 1]], [slope, [1 / r0, -1 / r0]]);
  const r1 = f32(s[1]!.lambda - start.lambda) / h;
  const far = [1 / r0, 0, -1 / r0]; // D1 between the newest output and that of the start
  const near = [0, 1 / r1, -1 / r1];
  if (method.solver_type === "midpoint") {
    return add(weights, [weights.constant, [0, 0, 1]], [weights.linear, far]);
  }
  return add(
    weights,
    [weights.constant, [0, 0, 1]],
    [(weights.linear * r0 - 2 * weights.quadratic) / (r0 - r1), near],
    [(2 * weights.quadratic - weights.linear * r1) / (r0 - r1), far],
  );
}

/** Adds up what the derivatives give each output. */
function add(
  { sample, noise }: Integrals,
  ...parts: readonly (readonly [number, readonly number[]])[]
): StepWeights {
  const count = Math.max(...parts.map(([, outputs]) => outputs.length));
  const outputs = Array.from(
    { length: count },
    (_, i) => parts.reduce((sum, [weight, outputs]) => sum + weight * (outputs[i] ?? 0), 0),
  );
  return { sample, outputs, noise };
}
