import type { TorchGenerator } from "./generator.ts";
import { seedSequence } from "./seed_sequence.ts";

const f32 = Math.fround;

/** Increments that are kept, as in torchsde: the next ones are computed from those around them. */
const KEPT = 45;

/** An interval of time, a node of the tree. */
interface Interval {
  readonly start: number;
  readonly end: number;
  /** The node that it is a half of. */
  readonly parent?: Interval;
  /** Its place in a row of the tree, and the row: they seed its noise. */
  readonly key: bigint;
  readonly depth: number;
  /** The halves, once someone asked for a part. */
  halves?: readonly [left: Interval, right: Interval];
}

/**
 * A Brownian motion W that a seed decides, whatever parts of it are asked for and in whatever order: torchsde 0.2.6's
 * `BrownianTree` on the CPU, or on a GPU where `noise` is of that kind. An interval is halved until a time is found to 6
 * digits; each half's increment is drawn around its share of the whole's.
 */
export class BrownianTree {
  readonly #noise: TorchGenerator;
  readonly #count: number;
  readonly #root: Interval;
  /** Increments over intervals, the last asked for at the end. */
  readonly #kept = new Map<Interval, Float32Array>();
  readonly #whole: Float32Array;

  /** A motion of `count` values from time `start` to `end`, by the seed and the kind of a generator, which stays as it is. */
  constructor(generator: TorchGenerator, count: number, { start, end }: { start: number; end: number }) {
    this.#noise = generator;
    this.#count = count;
    this.#root = { start: rounded(start), end: rounded(end), key: 0n, depth: 0 };
    const [seed] = seedSequence(generator.seed, [], 1);
    this.#whole = times(this.#randn(seed!), Math.sqrt(end - start));
  }

  /** W at `to` minus W at `from`, of which one may be the larger; beyond the ends W stays as it is there. */
  increment(from: number, to: number): Float32Array {
    const [low, high] = [Math.min(from, to), Math.max(from, to)].map((time) =>
      rounded(Math.min(Math.max(time, this.#root.start), this.#root.end))
    ) as [number, number];
    if (low === high) return new Float32Array(this.#count);
    const [first, ...others] = parts(this.#root, low, high);
    const sum = this.#over(first!).slice();
    for (const part of others) {
      const increment = this.#over(part);
      for (let i = 0; i < sum.length; i++) sum[i]! += increment[i]!;
    }
    return from < to ? sum : times(sum, -1);
  }

  /** The increment over a node: its part of that over the node above, and noise. */
  #over(node: Interval): Float32Array {
    const { parent } = node;
    if (!parent) return this.#whole;
    const known = this.#kept.get(node);
    if (known) this.#kept.delete(node);
    const increment = known ?? this.#partOf(parent, node);
    this.#kept.set(node, increment);
    if (this.#kept.size > KEPT) this.#kept.delete(this.#kept.keys().next().value!);
    return increment;
  }

  /** The increment over a half, each operation rounded as torch's on f32. */
  #partOf(parent: Interval, half: Interval): Float32Array {
    const whole = this.#over(parent);
    const [first] = parent.halves!;
    const [left, right] = [first.end - parent.start, parent.end - first.end];
    const share = 1 / (parent.end - parent.start);
    const [seed] = seedSequence(this.#noise.seed, [parent.key, BigInt(parent.depth)], 1);
    const noise = this.#randn(seed!);
    const [a, b, deviation] = [f32(left), f32(share), f32(Math.sqrt(left * right * share))];
    return whole.map((w, i) => {
      const value = f32(f32(f32(w * a) * b) + f32(noise[i]! * deviation));
      return half === first ? value : w - value;
    });
  }

  #randn(seed: number): Float32Array {
    return this.#noise.withSeed(BigInt(seed)).randn(this.#count);
  }
}

/** The nodes that make up an interval within a node, in order; halves it where needed. */
function parts(node: Interval, from: number, to: number): Interval[] {
  if (from === node.start && to === node.end) return [node];
  if (!node.halves) split(node, from === node.start ? to : from);
  const [left, right] = node.halves!;
  if (to <= left.end) return parts(left, from, to);
  if (from >= left.end) return parts(right, from, to);
  return [...parts(left, from, left.end), ...parts(right, left.end, to)];
}

/** Halves a node, then the half that a time lies in, until the time is an end. */
function split(node: Interval, time: number): void {
  const { start, end, key, depth } = node;
  const middle = rounded(0.5 * (end + start));
  const [left, right]: [Interval, Interval] = [
    { start, end: middle, parent: node, key: 2n * key, depth: depth + 1 },
    { start: middle, end, parent: node, key: 2n * key + 1n, depth: depth + 1 },
  ];
  node.halves = [left, right];
  if (time !== middle) split(time > middle ? right : left, time);
}

/** A time to 6 digits, from halfway to the even one, as Python's round(). */
function rounded(time: number): number {
  const near = Number(time.toFixed(6));
  const isHalfway = /^-?\d+\.\d{6}50*$/.test(time.toFixed(60));
  if (!isHalfway || Math.round(near * 1e6) % 2 === 0) return near;
  return Number((near - 1e-6).toFixed(6));
}

function times(values: Float32Array, factor: number): Float32Array {
  return values.map((value) => value * f32(factor));
}
