import type { Sources } from "./recording.ts";

/** The most by which a type rounds, half the distance of 1 to the next number; of any other the one below. */
const ROUNDOFFS: Readonly<Record<string, number>> = { f16: 2 ** -11, F16: 2 ** -11, BF16: 2 ** -8 };
/** f32 rounds by 2^-24; sums of many terms in another order, and WGSL's functions, lose five bits more. */
const F32_ROUNDOFF = 2 ** -19;
/** Standard deviation of a rounding, over the largest one. */
const ROUNDING = 0.43;
/** Roundings in a module: of both operands and of the result. */
const ROUNDED = 3;
/** Within which the largest of millions of errors lies. */
const DEVIATIONS = 6;
/** Gated layers and norms let errors grow more than sums do: twice as much was seen. */
const MARGIN = 4;

/**
 * The error of a feature, over its largest value, up to which it is right: roundings add up like steps of a
 * random walk through the `depth` modules that stand one behind the other up to it. `spread` is the root mean
 * square of its values over the largest of them; `types` are those of the model here and of the feature
 * there, of which the coarser one counts.
 */
export function toleranceOf(types: readonly string[], depth: number, spread: number): number {
  const roundoff = Math.max(...types.map((type) => ROUNDOFFS[type] ?? F32_ROUNDOFF));
  return MARGIN * roundoff * (1 + DEVIATIONS * ROUNDING * Math.sqrt(ROUNDED * depth) * spread);
}

/** For each path, how many modules stand one behind the other up to it. */
export function depthsOf(sources: Sources): Map<string, number> {
  const depths = new Map<string, number>();
  for (const [path, before] of Object.entries(sources)) {
    depths.set(path, 1 + Math.max(0, ...before.map((source) => depths.get(source) ?? 0)));
  }
  return depths;
}
