import type { StepWeights } from "./dpm_weights.ts";
import type { NoiseLevel } from "./sigmas.ts";

const { exp, expm1, sqrt } = Math;

/** The integral of a step of SA-Solver. */
export interface SAMethod {
  /** Over the image that the model sees; false over the noise. */
  toOriginal: boolean;
  /** τ, how much new noise a step adds: 0 of the ODE, 1 of the usual SDE. */
  tau: number;
}

/**
 * A step from level `s` to `t` along the polynomial through the outputs at `nodes`, the newest first: the
 * predictor has `s` as its first node, the corrector `t` (Xue et al. 2023, https://arxiv.org/abs/2309.05019).
 * All λ are taken from λ_t on, so that no large exponentials are multiplied and divided by.
 */
export function saWeights(
  { toOriginal, tau }: SAMethod,
  t: NoiseLevel,
  s: NoiseLevel,
  nodes: readonly NoiseLevel[],
): StepWeights {
  const h = t.lambda - s.lambda;
  const both = 1 + tau ** 2;
  const rate = toOriginal ? both : -1;
  const scale = both * (toOriginal ? t.alpha : -t.sigma);
  const places = nodes.map(({ lambda }) => lambda - t.lambda);
  const moments = momentsOf(rate, h, nodes.length);
  const outputs = places.map((_, i) =>
    scale * lagrange(places, i).reduce((sum, coefficient, k) => sum + coefficient * moments[k]!, 0)
  );
  if (toOriginal && nodes.length === 2) { // a change of the same order, from the authors' code, for few steps
    const change = (h ** 2 / 2 - (h * both + expm1(-both * h)) / both ** 2) / (places[0]! - places[1]!);
    outputs[0]! += scale * change;
    outputs[1]! -= scale * change;
  }
  return toOriginal
    ? {
      sample: exp(-(tau ** 2) * h) * t.sigma / s.sigma,
      outputs,
      noise: t.sigma * sqrt(-expm1(-2 * tau ** 2 * h)),
    }
    : { sample: t.alpha / s.alpha, outputs, noise: tau * t.sigma * sqrt(expm1(2 * h)) };
}

/** The integrals of e^(rate · y) y^k over y from −h to 0, for k below `count`. */
function momentsOf(rate: number, h: number, count: number): number[] {
  const moments = [-expm1(-rate * h) / rate];
  for (let k = 1; k < count; k++) {
    moments.push((-exp(-rate * h) * (-h) ** k - k * moments[k - 1]!) / rate); // by parts
  }
  return moments;
}

/** Coefficients of 1, y, y², … of the polynomial that is 1 at places[i] and 0 at the others. */
function lagrange(places: readonly number[], i: number): number[] {
  return places.reduce((polynomial, place, j) => {
    if (j === i) return polynomial;
    const scale = places[i]! - place;
    return Array.from(
      { length: polynomial.length + 1 },
      (_, k) => ((polynomial[k - 1] ?? 0) - place * (polynomial[k] ?? 0)) / scale,
    );
  }, [1]);
}
