import assert from "node:assert/strict";
import { manualSeed } from "../../src/random/mod.ts";
import { readTensors } from "../support/arrays.ts";
import { assertClose } from "../support/close.ts";
import { fixture } from "../support/fixtures.ts";

const reference = await readTensors(fixture("random/expected/cuda_philox_UNVERIFIED.safetensors"));

/** f32 rounding of a value near 4; a card's fast sine adds as much again. */
const BOUND = 5e-7;

Deno.test('randn() like "cuda" follows the documented Philox stream for 1 to 4,096 values', () => {
  const cases = [...reference].filter(([key]) => key.startsWith("randn/"));
  assert.equal(cases.length, 21);
  for (const [key, { data }] of cases) {
    const [, seed, count] = key.split("/") as [string, string, string];
    const generator = manualSeed(Number(seed.slice(4)), { like: "cuda" });
    assertClose(generator.randn(Number(count.slice(1))), data, BOUND, key);
  }
});

Deno.test('randn() like "cuda" goes on with the next offset', () => {
  for (const seed of [0, 1, 4294967301]) {
    const generator = manualSeed(seed, { like: "cuda" });
    const first = generator.randn(100);
    const copy = generator.clone();
    assertClose(first, reference.get(`sequence/seed${seed}/0_n100`)!.data, BOUND, `first of ${seed}`);
    assertClose(
      generator.randn(100),
      reference.get(`sequence/seed${seed}/1_n100`)!.data,
      BOUND,
      `second of ${seed}`,
    );
    assertClose(
      copy.randn(1),
      reference.get(`sequence/seed${seed}/1_n100`)!.data.slice(0, 1),
      BOUND,
      "a clone",
    );
  }
});

Deno.test('randn() like "cuda" gives each thread several values when there are more values than threads', () => {
  const values = manualSeed(0, { like: "cuda" }).randn(1_200_000);
  const key = "randn_grid_stride_132sm_2048tps/seed0/n1200000";
  assertClose(values.slice(0, 64), reference.get(`${key}/head64`)!.data, BOUND, "head");
  assertClose(values.slice(-64), reference.get(`${key}/tail64`)!.data, BOUND, "tail");
});

Deno.test('randn() like "cuda" gives the values that torch prints on a GPU for seed 0', () => {
  const printed = [
    -0.92466259,
    -0.42534415,
    -2.6438457,
    0.14518388,
    -0.12086647,
    -0.57972564,
    -0.62285122,
    -0.32838709,
    -1.07454231,
    -0.36314407,
  ];
  assertClose(manualSeed(0, { like: "cuda" }).randn(10), printed, 1e-6, "seed 0");
});

Deno.test('rand() like "cuda" stays in [0, 1) with mean 1/2', () => {
  const values = manualSeed(3, { like: "cuda" }).rand(10_000);
  assert.ok(values.every((x) => x >= 0 && x < 1));
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  assert.ok(Math.abs(mean - 0.5) < 0.01, `mean ${mean}`);
});

Deno.test('a generator like "cuda" refuses what it does not reproduce', () => {
  const generator = manualSeed(0, { like: "cuda" });
  assert.throws(
    () => generator.randn(4, "f64"),
    /^TypeError: Cannot draw f64 like "cuda": expected f32 or f16/,
  );
  assert.throws(() => generator.randint(0, 5, 4), /^Error: Cannot draw integers like "cuda"/);
  assert.throws(() => generator.randperm(4), /^Error: Cannot draw a permutation like "cuda"/);
});
