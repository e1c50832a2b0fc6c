import type { StepWeights } from "./dpm_weights.ts";
import type { Level } from "./level.ts";
import { solve } from "../core/math.ts";

const f32 = Math.fround;

/** How UniPC integrates. */
export interface UniPCMethod {
  /** Over the image that the model sees, or over the noise. */
  predict_x0: boolean;
  /** B(h), by which the corrections are scaled: h or e^h − 1. */
  solver_type: "bh1" | "bh2";
}

/** UniP: a step to `t` from the levels `s`, the newest first, by the outputs there. */
export function predictorWeights(method: UniPCMethod, t: Level, s: readonly Level[]): StepWeights {
  const { scale, ratios, moments, ...weights } = expand(method, t, s);
  const rho = s.length === 2 ? [0.5] : solveFor(ratios, moments);
  return { ...weights, outputs: differences(weights.constant, scale, ratios, rho) };
}

/**
 * UniC: the step to `t` once more, now that the output there is known too; its weight is the first of all.
 */
export function correctorWeights(method: UniPCMethod, t: Level, s: readonly Level[]): StepWeights {
  const { scale, ratios, moments, ...weights } = expand(method, t, s);
  const rho = s.length === 1 ? [0.5] : solveFor([...ratios, 1], moments);
  const last = scale * rho[rho.length - 1]!; // of the new output less the newest of the others
  const [newest, ...earlier] = differences(weights.constant, scale, ratios, rho) as [number, ...number[]];
  return { ...weights, outputs: [last, newest - last, ...earlier] };
}

/** What both share (Zhao et al. 2023, https://arxiv.org/abs/2302.04867, eq. 6 to 9). */
function expand({ predict_x0, solver_type }: UniPCMethod, t: Level, s: readonly Level[]) {
  const h = f32(t.lambda - s[0]!.lambda);
  const hh = predict_x0 ? -h : h;
  const phi1 = Math.expm1(hh);
  const unit = solver_type === "bh1" ? hh : phi1; // B(h)
  const [sample, size] = predict_x0 ? [t.sigma / s[0]!.sigma, t.alpha] : [t.alpha / s[0]!.alpha, t.sigma];
  const moments: number[] = [];
  let [phi, factorial] = [phi1 / hh - 1, 1];
  for (let i = 1; i <= s.length; i++) {
    moments.push(phi * factorial / unit);
    factorial *= i + 1;
    phi = phi / hh - 1 / factorial;
  }
  return {
    sample,
    noise: 0,
    constant: -size * phi1,
    scale: -size * unit,
    moments,
    /** Where the older levels lie, with the step as unit. */
    ratios: s.slice(1).map(({ lambda }) => f32(lambda - s[0]!.lambda) / h),
  };
}

/**
 * Weights ρ by which powers of the ratios have the right moments: the first equations, as many as unknowns.
 */
function solveFor(ratios: readonly number[], moments: readonly number[]): number[] {
  return solve(
    ratios.map((_, power) => ratios.map((ratio) => ratio ** power)),
    moments.slice(0, ratios.length),
  );
}

/** The newest output by `constant`, and the others' differences from it by ρ. */
function differences(
  constant: number,
  scale: number,
  ratios: readonly number[],
  rho: readonly number[],
): number[] {
  const others = ratios.map((ratio, i) => scale * rho[i]! / ratio);
  return [others.reduce((sum, weight) => sum - weight, constant), ...others];
}
