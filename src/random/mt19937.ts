const LENGTH = 624;
const MIDDLE = 397;

/** The Mersenne Twister (Matsumoto & Nishimura 1998), seeded as torch seeds it: by the low 32 bits alone. */
export class MT19937 {
  readonly #state = new Uint32Array(LENGTH);
  #next = LENGTH;

  constructor(seed: number) {
    const state = this.#state;
    state[0] = seed;
    for (let i = 1; i < LENGTH; i++) {
      state[i] = Math.imul(1812433253, state[i - 1]! ^ (state[i - 1]! >>> 30)) + i;
    }
  }

  /** The next 32 bits, from 0 to 2³² − 1. */
  uint32(): number {
    if (this.#next === LENGTH) this.#twist();
    let y = this.#state[this.#next++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** The next 64 bits; the first draw is the upper half. */
  uint64(): bigint {
    const high = BigInt(this.uint32());
    return (high << 32n) | BigInt(this.uint32());
  }

  /** The low 53 bits of the next 64, which a number holds exactly. */
  uint53(): number {
    const high = this.uint32() & 0x1fffff;
    return high * 2 ** 32 + this.uint32();
  }

  /** A generator that goes on from the same place. */
  clone(): MT19937 {
    const copy = new MT19937(0);
    copy.#state.set(this.#state);
    copy.#next = this.#next;
    return copy;
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < LENGTH; i++) {
      const y = (state[i]! & 0x80000000) | (state[(i + 1) % LENGTH]! & 0x7fffffff);
      state[i] = state[(i + MIDDLE) % LENGTH]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#next = 0;
  }
}
