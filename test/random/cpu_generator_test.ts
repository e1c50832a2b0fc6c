import assert from "node:assert/strict";
import { type FloatType, manualSeed } from "../../src/random/mod.ts";
import { readTensors } from "../support/arrays.ts";
import { assertClose } from "../support/close.ts";
import { fixture } from "../support/fixtures.ts";

const reference = await readTensors(fixture("random/expected/cpu.safetensors"));
const dtypes: Record<string, FloatType> = { float32: "f32", float64: "f64", float16: "f16" };

/**
 * Absolute error of a normal value from the block path:
 * V8's f64 logarithm and sine differ from torch's in the last bit.
 */
const BLOCK_BOUND = { f32: 0, f16: 0, f64: 4.5e-16 };

for (const fn of ["randn", "rand"] as const) {
  for (const [torchName, dtype] of Object.entries(dtypes)) {
    Deno.test(`${fn}() draws torch's ${torchName} for 1 to 100,000 values`, () => {
      const cases = [...reference].filter(([key]) => key.startsWith(`${fn}/${torchName}/`));
      assert.ok(cases.length >= 36);
      for (const [key, { data }] of cases) {
        const [, , seed, count, part] = key.split("/") as [string, string, string, string, string];
        const n = Number(count.slice(1));
        const all = manualSeed(Number(seed.slice(4)))[fn](n, dtype);
        const bound = fn === "randn" && n >= 16 ? BLOCK_BOUND[dtype] : 0;
        if (part === "sum64") assertClose([sum(all)], data, bound * n, key);
        else assertClose(pick(all, part), data, bound, key);
      }
    });
  }
}

Deno.test("randint() draws torch's integers below and from 2^28", () => {
  const cases = [...reference].filter(([key]) => key.startsWith("randint/"));
  assert.equal(cases.length, 24);
  for (const [key, { data }] of cases) {
    const [, seed, bounds] = key.split("/") as [string, string, string];
    const [low, high] = bounds.split("_").map(Number) as [number, number];
    assert.deepEqual(manualSeed(Number(seed.slice(4))).randint(low, high, 40), [...data], key);
  }
});

Deno.test("randperm() draws torch's permutations of 1 to 1000", () => {
  const cases = [...reference].filter(([key]) => key.startsWith("randperm/"));
  assert.equal(cases.length, 15);
  for (const [key, { data }] of cases) {
    const [, seed, n] = key.split("/") as [string, string, string];
    assert.deepEqual(manualSeed(Number(seed.slice(4))).randperm(Number(n.slice(1))), [...data], key);
  }
});

for (const seed of [0, 1]) {
  Deno.test(`draws of every kind share one stream as in torch, seed ${seed}`, () => {
    const generator = manualSeed(seed);
    const cases = [...reference].filter(([key]) => key.startsWith(`sequence/seed${seed}/`)).sort();
    assert.equal(cases.length, 11);
    for (const [key, { data }] of cases) {
      const [, fn, count, dtype] = key.split("/")[2]!.split("_") as [string, string, string, string];
      const n = Number(count);
      const draws: Record<string, () => ArrayLike<number>> = {
        randn: () => generator.randn(n, dtypes[dtype]),
        rand: () => generator.rand(n, dtypes[dtype]),
        randint: () => generator.randint(0, 100, n),
        randperm: () => generator.randperm(n),
      };
      assertClose(draws[fn]!(), data, 0, key);
    }
  });
}

Deno.test("clone() goes on where the original stands, with its waiting normal value", () => {
  const original = manualSeed(5);
  original.randn(3);
  const copy = original.clone();
  assert.deepEqual(copy.randn(20), original.randn(20));
  assert.deepEqual(copy.randn(1), original.randn(1));
  assert.equal(copy.seed, 5n);
});

Deno.test("manualSeed() takes the seeds that torch takes", () => {
  assert.equal(manualSeed(-1).seed, 2n ** 64n - 1n);
  assert.equal(manualSeed(-(2n ** 63n)).seed, 2n ** 63n);
  assert.equal(manualSeed(2n ** 64n - 1n).seed, 2n ** 64n - 1n);
  assert.deepEqual(manualSeed(2 ** 32 + 5).randn(4), manualSeed(5).randn(4)); // only 32 bits reach the CPU's stream
  assertClose(manualSeed(-1).rand(2), [0.9937993884086609, 0.5713063478469849], 0, "rand of seed -1");
});

Deno.test("manualSeed() refuses what is no 64-bit seed", () => {
  for (const seed of [NaN, 0.5, Infinity, 2 ** 64, 2n ** 64n, -(2n ** 63n) - 1n]) {
    assert.throws(() => manualSeed(seed), {
      name: "RangeError",
      message: `Cannot seed a generator: expected a whole number from -2^63 to 2^64 - 1, got ${seed}`,
    });
  }
  assert.throws(() => manualSeed(0, { like: "mps" as "cpu" }), /like "mps": expected "cpu" or "cuda"/);
});

Deno.test("draws refuse counts and bounds that make no sense", () => {
  const generator = manualSeed(0);
  for (const count of [-1, 1.5, NaN]) {
    assert.throws(() => generator.randn(count), RangeError);
    assert.throws(() => generator.randint(0, 2, count), RangeError);
    assert.throws(() => generator.randperm(count), RangeError);
  }
  for (const [low, high] of [[1, 1], [2, 1], [0, 2 ** 60], [0, 0.5]]) {
    assert.throws(() => generator.randint(low!, high!, 1), /^RangeError: Cannot draw integers from/);
  }
  assert.equal(generator.randn(0).length, 0);
});

function pick(values: ArrayLike<number>, part?: string): number[] {
  const all = Array.from(values);
  if (part === "head256") return all.slice(0, 256);
  return part === "tail256" ? all.slice(-256) : all;
}

function sum(values: ArrayLike<number>): number {
  return Array.from(values).reduce((total, x) => total + x, 0);
}
