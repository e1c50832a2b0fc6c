/** Random choices that are the same in every run. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** A number from 0 up to 1 (mulberry32). */
  next(): number {
    let t = (this.#state += 0x6d2b79f5);
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `low` to `high`, both possible. */
  int(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** True in about half of all cases. */
  coin(): boolean {
    return this.next() < 0.5;
  }

  /** Sizes of up to `rank` axes, each from 1 to `most`. */
  shape(rank: number, most: number): number[] {
    return Array.from({ length: this.int(1, rank) }, () => this.int(1, most));
  }

  /** The items in another order. */
  shuffled<T>(items: readonly T[]): T[] {
    const result = [...items];
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.int(0, i);
      [result[i], result[j]] = [result[j]!, result[i]!];
    }
    return result;
  }

  /** Numbers from -`reach` to `reach` that f32 holds. */
  numbers(count: number, reach = 2): Float32Array<ArrayBuffer> {
    return Float32Array.from({ length: count }, () => (2 * this.next() - 1) * reach);
  }
}
