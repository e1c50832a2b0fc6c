/** Words of 32 bits that a state is mixed in; numpy's default is 4, torchsde's trees have 24. */
const POOL = 24;

const { imul } = Math;

/** A hash whose multiplier changes at each call. */
function hasher(start: number, factor: number): (value: number) => number {
  let multiplier = start;
  return (value) => {
    const mixed = value ^ multiplier;
    multiplier = imul(multiplier, factor);
    const product = imul(mixed, multiplier);
    return product ^ (product >>> 16);
  };
}

function mix(x: number, y: number): number {
  const sum = imul(x, 0xca01f9dd) - imul(y, 0x4973f715) | 0;
  return sum ^ (sum >>> 16);
}

/**
 * `count` seeds of 32 bits from others, as `numpy.random.SeedSequence(entropy, spawn_key, pool_size=24)` generates its state
 * (O'Neill 2015, https://www.pcg-random.org/posts/developing-a-seed_seq-alternative.html).
 */
export function seedSequence(entropy: bigint, spawnKey: readonly bigint[], count: number): number[] {
  const own = wordsOf(entropy);
  const padding = spawnKey.length > 0 ? Array<number>(Math.max(POOL - own.length, 0)).fill(0) : [];
  const words = [...own, ...padding, ...spawnKey.flatMap(wordsOf)];

  const hash = hasher(0x43b0d7e5, 0x931e8875);
  const pool = Array.from({ length: POOL }, (_, i) => hash(words[i] ?? 0));
  for (let from = 0; from < POOL; from++) {
    for (let to = 0; to < POOL; to++) if (from !== to) pool[to] = mix(pool[to]!, hash(pool[from]!));
  }
  for (const word of words.slice(POOL)) {
    for (let to = 0; to < POOL; to++) pool[to] = mix(pool[to]!, hash(word));
  }

  const out = hasher(0x8b51f9dd, 0x58f38ded);
  return Array.from({ length: count }, (_, i) => out(pool[i % POOL]!) >>> 0);
}

/** A number in words of 32 bits, the lowest first. */
function wordsOf(value: bigint): number[] {
  const words = [Number(value & 0xffffffffn)];
  for (let rest = value >> 32n; rest > 0n; rest >>= 32n) words.push(Number(rest & 0xffffffffn));
  return words;
}
