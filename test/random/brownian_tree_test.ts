import assert from "node:assert/strict";
import { BrownianTree } from "../../src/random/brownian_tree.ts";
import { BrownianTreeNoiseSampler, manualSeed } from "../../src/random/mod.ts";
import { seedSequence } from "../../src/random/seed_sequence.ts";
import "../support/device.ts";
import { fixture } from "../support/fixtures.ts";

/** What numpy and torchsde gave; see generator/k_diffusion_cases.py. */
interface Recorded {
  sequences: { entropy: string; key: string[]; seeds: number[] }[];
  trees: {
    start: number;
    end: number;
    seed: string;
    count: number;
    increments: { between: [number, number]; values: number[] }[];
  }[];
}

const { sequences, trees } = JSON.parse(await Deno.readTextFile(fixture("brownian_tree.json"))) as Recorded;

Deno.test("seedSequence() generates numpy's states", () => {
  for (const { entropy, key, seeds } of sequences) {
    assert.deepEqual(seedSequence(BigInt(entropy), key.map(BigInt), seeds.length), seeds);
  }
});

Deno.test("BrownianTree has torchsde's increments to the bit, forwards and backwards", () => {
  for (const { start, end, seed, count, increments } of trees) {
    const tree = new BrownianTree(manualSeed(BigInt(seed)), count, { start, end });
    for (const { between: [from, to], values } of increments) {
      assert.deepEqual(tree.increment(from, to), Float32Array.from(values), `${from} to ${to}`);
    }
  }
});

Deno.test("a BrownianTree does not depend on the order in which it is asked, and keeps still beyond its ends", () => {
  const make = () => new BrownianTree(manualSeed(5), 20, { start: 0, end: 8 });
  const [one, other] = [make(), make()];
  const whole = one.increment(0, 5);
  other.increment(3, 7);
  other.increment(1, 2);
  assert.deepEqual(other.increment(0, 5), whole);
  assert.deepEqual(one.increment(-1, 9), one.increment(0, 8));
  assert.deepEqual(one.increment(4, 4), new Float32Array(20));
});

Deno.test("BrownianTreeNoiseSampler takes a tree for all images, or one for each, of unit variance", async () => {
  const shape = [2, 1, 8, 8];
  const range = { sigmaMin: 0.1, sigmaMax: 10 };
  const noise = [...await new BrownianTreeNoiseSampler({ shape, ...range, seed: 3 }).noise(6, 2).data()];
  const variance = noise.reduce((sum, x) => sum + x * x, 0) / noise.length;
  assert.ok(variance > 0.7 && variance < 1.3, `variance ${variance}`);
  const seed = [manualSeed(4), manualSeed(3)];
  const each = await new BrownianTreeNoiseSampler({ shape, ...range, seed }).noise(6, 2).data();
  const alone = new BrownianTreeNoiseSampler({ shape: [1, 1, 8, 8], ...range, seed: manualSeed(3) });
  assert.deepEqual(each.slice(64), await alone.noise(6, 2).data());
  assert.throws(() => new BrownianTreeNoiseSampler({ shape, ...range, seed: seed.slice(1) }), {
    message: "Cannot draw Brownian noise: expected one generator or 2, got 1",
  });
});
