import { linspace } from "../../core/math.ts";
import { getAncestralStep } from "../euler_ancestral.ts";
import { noisesOf, type Sampler, type Step } from "./plan.ts";

const { exp, expm1, log, max, sqrt } = Math;

/**
 * DPM-Solver-fast (Lu et al. 2022, https://arxiv.org/abs/2206.00927, appendix D.2): as many calls as there are σ to visit, in
 * steps of order 3 of equal length in log σ, the last of lower order. It goes from the first σ to the last above 0; where that is the
 * first it goes to the end, as Euler's method.
 */
export const dpmFast: Sampler = {
  of: "derivative",
  eta: 0,
  calls: 3,
  plan({ sigmas, eta, s_noise }) {
    const calls = sigmas.length - 1;
    const least = sigmas.findLast((sigma) => sigma > 0)!;
    if (least === sigmas[0]) return [[{ sigma: least, sample: 1, outputs: [sigmas[1]! - least] }]];
    const steps = Math.floor(calls / 3) + 1;
    const times = linspace(-log(sigmas[0]!), -log(least), steps + 1);
    const orders = calls % 3 === 0
      ? [...Array<number>(steps - 2).fill(3), 2, 1]
      : [...Array<number>(steps - 1).fill(3), calls % 3];
    return orders.map((order, i) => {
      const [sigma, next] = [exp(-times[i]!), exp(-times[i + 1]!)];
      const { down } = getAncestralStep(sigma, next, eta);
      const end = max(least, down);
      const up = eta === 0 ? 0 : sqrt(next ** 2 - end ** 2) * s_noise;
      return withNoise(stepOfOrder(order, sigma, end), up);
    });
  },
};

function withNoise(step: Step, up: number): Step {
  return [...step.slice(0, -1), { ...step[step.length - 1]!, noises: noisesOf(up) }];
}

/** DPM-Solver of order 1, 2 (r = ½) or 3 (r = ⅓ and ⅔) over ε = dx/dσ, from σ to `end`. */
export function stepOfOrder(
  order: number,
  sigma: number,
  end: number,
  r1 = order === 2 ? 1 / 2 : 1 / 3,
): Step {
  const h = log(sigma / end);
  const at = (r: number) => sigma * exp(-r * h);
  const whole = (r: number) => -at(r) * expm1(r * h);
  if (order === 1) return [{ sigma, sample: 1, outputs: [whole(1)] }];
  const begin = { sigma, sample: 1, outputs: [whole(r1)] };
  if (order === 2) {
    const slope = whole(1) / (2 * r1);
    return [begin, { sigma: at(r1), sample: 1, outputs: [slope, whole(1) - slope] }];
  }
  const r2 = 2 / 3;
  const mid = -at(r2) * (r2 / r1) * (expm1(r2 * h) / (r2 * h) - 1);
  const late = -end / r2 * (expm1(h) / h - 1);
  return [
    begin,
    { sigma: at(r1), sample: 1, outputs: [mid, whole(r2) - mid] },
    { sigma: at(r2), sample: 1, outputs: [late, 0, whole(1) - late] },
  ];
}
