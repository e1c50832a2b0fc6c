import { manualSeed, type TorchGenerator } from "denoise";
import type { Size } from "../command_line/options.ts";

/** Settings of noise that is made of more than one seed's, as A1111 has them. */
export interface VariationSettings {
  /** Of the noise; with a variation the same for all pictures. */
  readonly seed?: bigint | undefined;
  /** The seed of other noise, and its part, e.g. "7:0.3"; further pictures have the seeds after it. */
  readonly variation?: string | undefined;
  /** The size whose noise is in the middle, in pixels. */
  readonly "seed-size"?: Size | undefined;
}

/** Other noise, and its part. */
export interface Variation {
  readonly seed: bigint;
  /** Above 0 to 1. */
  readonly strength: number;
}

/** Reads "SEED:STRENGTH". */
export function readVariation(text: string): Variation {
  const [, digits, part] = /^(-?\d{1,20}):(\d*\.?\d+)$/.exec(text) ?? [];
  const variation = { seed: BigInt(digits ?? 0), strength: Number(part ?? NaN) };
  const { seed, strength } = variation;
  if (strength > 0 && strength <= 1 && seed >= -(2n ** 63n) && seed < 2n ** 64n) return variation;
  throw new RangeError(
    `Cannot mix noise by ${
      text.slice(0, 100)
    }: expected SEED:STRENGTH with a strength above 0 to 1, e.g. 7:0.3`,
  );
}

/** The strength as the text of a variation has it, since a number's own text may have an exponent. */
export function strengthIn(variation: string): string {
  return variation.slice(variation.indexOf(":") + 1);
}

/**
 * The streams of some pictures' noise, by their seeds, or those of their variations. `f`: pixels to a latent, or to what else the
 * noise is drawn for.
 */
export function noisesOf(
  seeds: readonly bigint[],
  { seed = 0n, variation, "seed-size": from }: VariationSettings,
  f: number,
): TorchGenerator[] {
  if (variation === undefined && from === undefined) return seeds.map((seed) => manualSeed(seed));
  const strength = variation === undefined ? 0 : readVariation(variation).strength;
  const part = from && { width: Math.floor(from.width / f), height: Math.floor(from.height / f) };
  return seeds.map((other) => {
    const [own, mixed] = strength === 0 ? [other, undefined] : [seed, { seed: other, strength }];
    return new VariedGenerator(manualSeed(own), { part, mixed });
  });
}

/** What becomes of the noise that a run begins with. */
interface Change {
  /** Its middle has noise of this size. */
  readonly part: Size | undefined;
  readonly mixed: Variation | undefined;
}

/** A stream of which the noise that a run begins with is changed; all else that it draws is as without that. */
class VariedGenerator implements TorchGenerator {
  readonly #stream: TorchGenerator;
  readonly #change: Change;
  readonly randn: TorchGenerator["randn"];
  readonly rand: TorchGenerator["rand"];

  constructor(stream: TorchGenerator, change: Change) {
    this.#stream = stream;
    this.#change = change;
    this.randn = (count, dtype) => stream.randn(count, dtype);
    this.rand = (count, dtype) => stream.rand(count, dtype);
  }

  get seed(): bigint {
    return this.#stream.seed;
  }

  /** Noise mixed with another seed's, or with such noise of another size in its middle. → [C, h, w] */
  firstNoise(shape: readonly number[]): Float32Array {
    const [channels, height, width] = shape as [C: number, h: number, w: number];
    const whole = { width, height };
    const noise = this.#stream.randn(channels * height * width);
    const { part, mixed } = this.#change;
    const size = part ?? whole;
    const count = channels * size.width * size.height;
    const other = (seed: bigint) => this.#stream.withSeed(seed).randn(count);
    const own = part ? other(this.seed) : noise;
    const made = mixed ? slerp(own, other(mixed.seed), mixed.strength, size) : own;
    return part ? inMiddle(made, part, noise, whole, channels) : made;
  }

  randint(low: number, high: number, count: number): number[] {
    return this.#stream.randint(low, high, count);
  }

  randperm(n: number): number[] {
    return this.#stream.randperm(n);
  }

  clone(): TorchGenerator {
    return new VariedGenerator(this.#stream.clone(), this.#change);
  }

  withSeed(seed: bigint): TorchGenerator {
    return this.#stream.withSeed(seed);
  }
}

/**
 * From a to b on the arc between them, each column by itself, as A1111 does: (sin((1 − t)ω) a + sin(tω) b) / sin ω, ω being the
 * angle between them. a, b [C, h, w]
 */
function slerp(a: Float32Array, b: Float32Array, t: number, { width, height }: Size): Float32Array {
  const out = new Float32Array(a.length);
  for (let start = 0; start < a.length; start += width * height) {
    for (let x = start; x < start + width; x++) {
      let [aa, bb, ab] = [0, 0, 0];
      for (let y = 0, i = x; y < height; y++, i += width) {
        aa += a[i]! ** 2;
        bb += b[i]! ** 2;
        ab += a[i]! * b[i]!;
      }
      const angle = Math.acos(Math.min(1, Math.max(-1, ab / Math.sqrt(aa * bb))));
      const sine = Math.sin(angle);
      const [left, right] = sine < 1e-6 // of the same noise
        ? [1 - t, t]
        : [Math.sin((1 - t) * angle) / sine, Math.sin(t * angle) / sine];
      for (let y = 0, i = x; y < height; y++, i += width) out[i] = left * a[i]! + right * b[i]!;
    }
  }
  return out;
}

/** Noise with that of another size in its middle, cut where that is larger. [C, h, w] each */
function inMiddle(
  part: Float32Array,
  small: Size,
  noise: Float32Array,
  whole: Size,
  channels: number,
): Float32Array {
  const out = noise.slice();
  const [dx, width] = overlap(small.width, whole.width);
  const [dy, height] = overlap(small.height, whole.height);
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < height; y++) {
      const from = (c * small.height + y + Math.max(0, -dy)) * small.width + Math.max(0, -dx);
      const to = (c * whole.height + y + Math.max(0, dy)) * whole.width + Math.max(0, dx);
      out.set(part.subarray(from, from + width), to);
    }
  }
  return out;
}

/** Where a part begins in the whole, and how much of it is there. */
function overlap(part: number, whole: number): [start: number, length: number] {
  const start = Math.floor((whole - part) / 2);
  return [start, start >= 0 ? part : part + 2 * start];
}
