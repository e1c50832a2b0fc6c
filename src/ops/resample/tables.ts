const f = Math.fround;

/** Table by which an axis of n elements becomes one of m: element i is Σ weights[i · taps + t] · x[first + t] for t < count. */
export interface ResampleTable {
  /** Terms of the longest sum. */
  readonly taps: number;
  /** First and count of each element. */
  readonly ranges: Uint32Array<ArrayBuffer>;
  readonly weights: Float32Array<ArrayBuffer>;
}

/** Rule by which lengths are computed and elements are weighed, as in torch. */
export interface ResampleRule {
  readonly kind: "nearest" | "nearest-exact" | "linear" | "cubic" | "lanczos" | "area";
  readonly alignCorners: boolean;
  readonly antialias: boolean;
  /** The factor that was asked for, where positions follow it instead of both lengths. */
  readonly factor?: number | undefined;
}

/** One element of x with its weight. */
type Tap = readonly [index: number, weight: number];

/** The table of one axis. Positions are computed in f32, as torch does: they decide which element is nearest. */
export function resampleTable(n: number, m: number, rule: ResampleRule): ResampleTable {
  const step = stepOf(n, m, rule);
  const rows = Array.from({ length: m }, (_, i) => merged(tapsOf(i, n, m, step, rule), n));
  const taps = rows.reduce((most, row) => Math.max(most, row.length), 1);
  const [ranges, weights] = [new Uint32Array(2 * m), new Float32Array(m * taps)];
  rows.forEach((row, i) => {
    ranges.set([row[0]![0], row.length], 2 * i);
    weights.set(row.map(([, weight]) => weight), i * taps);
  });
  return { taps, ranges, weights };
}

/** Elements of x from one element of y to the next. */
function stepOf(n: number, m: number, { alignCorners, factor }: ResampleRule): number {
  if (alignCorners) return m > 1 ? f((n - 1) / (m - 1)) : 0;
  return f(factor === undefined ? n / m : 1 / factor);
}

function tapsOf(i: number, n: number, m: number, step: number, rule: ResampleRule): Tap[] {
  const { kind, alignCorners, antialias } = rule;
  switch (kind) {
    case "nearest":
      return [[Math.floor(f(i * step)), 1]];
    case "nearest-exact":
      return [[Math.floor(f((i + 0.5) * step)), 1]];
    case "area": {
      const [start, end] = [Math.floor(i * n / m), Math.ceil((i + 1) * n / m)];
      return Array.from({ length: end - start }, (_, t) => [start + t, 1 / (end - start)]);
    }
  }
  if (n === m && (antialias || kind !== "cubic")) return [[i, 1]]; // whatever the factor
  if (antialias || kind === "lanczos") return smoothTaps(i, n, step, kind);
  const place = alignCorners ? f(i * step) : f(f((i + 0.5) * step) - 0.5);
  if (kind === "linear") {
    const at = Math.max(0, place);
    const low = Math.min(Math.floor(at), n - 1);
    const weight = Math.min(1, f(at - low));
    return [[low, 1 - weight], [low + 1, weight]];
  }
  const low = Math.min(Math.floor(place), n - 1);
  const t = Math.min(1, f(place - low));
  return [-1, 0, 1, 2].map((k) => [low + k, cubic(t - k, -0.75)]);
}

/** Filters for pictures that shrink, with half their width in elements. */
const FILTERS = {
  linear: { half: 1, weigh: (x: number) => Math.max(0, 1 - Math.abs(x)) },
  cubic: { half: 2, weigh: (x: number) => cubic(x, -0.5) },
  lanczos: { half: 3, weigh: (x: number) => Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0 },
};

/** Taps under a filter that is as wide as a picture that shrinks needs, as in PIL. */
function smoothTaps(i: number, n: number, step: number, kind: keyof typeof FILTERS): Tap[] {
  const stretch = Math.max(1, step);
  const { half, weigh } = FILTERS[kind];
  const reach = half * stretch;
  const center = f(step * (i + 0.5)); // with alignCorners too, as in torch
  const start = Math.max(0, Math.trunc(center - reach + 0.5));
  const end = Math.min(n, Math.trunc(center + reach + 0.5));
  const weights = Array.from({ length: end - start }, (_, t) => weigh((start + t - center + 0.5) / stretch));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight, t) => [start + t, weight / total]);
}

/** The cubic convolution kernel (Keys 1981, https://doi.org/10.1109/TASSP.1981.1163711). */
function cubic(distance: number, a: number): number {
  const x = Math.abs(distance);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** Taps in order, each element once; those beyond the ends are the outermost elements again. */
function merged(taps: readonly Tap[], n: number): Tap[] {
  const weights = new Map<number, number>();
  for (const [index, weight] of taps) {
    const at = Math.min(n - 1, Math.max(0, index));
    weights.set(at, (weights.get(at) ?? 0) + weight);
  }
  return [...weights].sort(([a], [b]) => a - b);
}
