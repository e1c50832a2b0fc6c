import assert from "node:assert/strict";
import type { Device } from "../../../src/gpu/device.ts";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { linearGeglu } from "../../../src/ops/linear_geglu.ts";
import { linearThree } from "../../../src/ops/linear_three.ts";
import { geglu, linear } from "../../../src/ops/mod.ts";
import { type Tensor, tensor } from "../../../src/tensor/mod.ts";
import { assertClose } from "../../support/close.ts";
import { Dice } from "../../support/dice.ts";
import { asGpu } from "../../support/engines.ts";
import { GEMM_CASES, type Operands, product } from "../../support/gemm_cases.ts";
import { Nd } from "../../support/nd.ts";
import { pack } from "../../support/pack.ts";

/**
 * How far products summed in f16 may be off, in root mean squares of the results. Channels go in turns to two sums in f16 of L
 * terms (32, fewer where K is under 64), which go to a sum in f32. Term i is off by u = 2^-11 of itself where it is rounded
 * before it is added (drivers without fma), and the sum, √i as large, once more. Both roundings are even within ±u, of a
 * variance of u²/3, so a sum's is u²/3 · (L + L(L + 1)/2) of a term's, of all K / L sums (L + 3)/6 · u² of a result's; a result
 * is rounded itself. None of thousands lies beyond six standard deviations.
 */
function tolerance(K: number): number {
  const L = Math.min(32, Math.ceil(K / 2));
  return 6 * 2 ** -11 * Math.sqrt((L + 3) / 6 + 1 / 3);
}

/** Of the cases' largest results, which no root mean square exceeds, with the roundings of biases as for sums in f32. */
const HALF: Operands = { dtype: "f16", bound: tolerance(64) + 3 * 2 ** -11 };

/** Registers a test where shaders may compute in f16; it fails unless the form ran. */
function test(name: string, candidate: string, run: (device: Device) => Promise<void>): void {
  Deno.test(name, async () => {
    using device = await openDevice({ candidate, profile: true });
    if (!device.traits.f16) return console.log(`not run: ${device.adapterName} has no f16`);
    asGpu(device); // products of one x may run as one
    await run(device);
    const ran = new Set((await device.profiler!.rows()).map(({ kernel }) => kernel));
    assert.ok(ran.has(candidate), `${candidate} did not run`);
  });
}

for (const [name, run] of Object.entries(GEMM_CASES)) {
  test(`in f16 arithmetic, ${name}`, "gemm_half_32x32", () => run(HALF));
}

for (const tile of ["64x64", "128x64"]) {
  test(
    `products in f16 arithmetic in tiles of ${tile} are right at all edges`,
    `gemm_half_${tile}`,
    async () => {
      const dice = new Dice(81);
      for (const [M, K, N] of [[1, 8, 7], [7, 63, 8], [63, 65, 65], [131, 104, 130]] as const) {
        const [x, w] = [halves(dice, [M, K]), halves(dice, [N, K])];
        await assertProduct(linear(upload(x), { weight: upload(w) }), x, w, `[${M}, ${K}] by [${N}, ${K}]`);
      }
    },
  );
}

test("sums of f16 arithmetic go to f32 before they stop growing", "gemm_half_32x32", async () => {
  const a = tensor(new Float32Array(4096).fill(1 / 64), [1, 4096], { dtype: "f16" });
  assert.equal(await linear(a, { weight: a }).item(), 1); // in f16 sums of 2^-12 stop at 0.5
});

test("a sum in f16 arithmetic may be cut into parts", "gemm_half_32x32_split2", async () => {
  const dice = new Dice(82);
  const [x, w] = [halves(dice, [5, 424]), halves(dice, [7, 424])]; // 14 steps
  await assertProduct(linear(upload(x), { weight: upload(w) }), x, w, "2 parts");
});

test(
  "int8 and int4 are multiplied in f16 arithmetic as their values in f16",
  "gemm_half_32x32",
  async (device) => {
    const dice = new Dice(83);
    const identity = tensor(Float32Array.from({ length: 96 * 96 }, (_, i) => i % 97 === 0 ? 1 : 0), [96, 96]);
    for (const dtype of ["int8", "int4"] as const) {
      using packed = await pack(device, dtype, [37, 96]);
      const exact = await linear(identity, { weight: packed.weight }).permute([1, 0]).data(); // in f32
      const w = new Nd([37, 96], Float16Array.from(exact as Float32Array));
      const x = halves(dice, [9, 96]);
      await assertProduct(linear(upload(x), { weight: packed.weight }), x, w, dtype);
    }
  },
);

test("linearGeglu() and linearThree() are one dispatch in f16 arithmetic", "gemm_half_32x32", async () => {
  const dice = new Dice(84);
  const [M, K, N] = [35, 40, 12];
  const x = halves(dice, [M, K]);
  const weights = [0, 1, 2].map(() => halves(dice, [N, K])) as [Nd, Nd, Nd];
  const three = weights.map(upload) as [Tensor, Tensor, Tensor];
  for (const [i, y] of linearThree(upload(x), three)!.entries()) {
    await assertProduct(y, x, weights[i]!, `product ${i}`);
  }
  const both = new Nd([2 * N, K], [...Array.from(weights[0].data), ...Array.from(weights[1].data)]);
  const bias = halves(dice, [2 * N]);
  const sums = product(x, both.permute([1, 0])).zip(bias, (a, b) => a + b);
  const want = await geglu(tensor(Float32Array.from(sums.data), [M, 2 * N])).data();
  const got = await linearGeglu(upload(x), { weight: upload(both), bias: upload(bias) }).data();
  // (h + δ) · gelu(g + δ): gelu's slope is at most 1.13, and |gelu(g)| at most |g|.
  const largest = Math.max(...Array.from(sums.data, Math.abs));
  assertClose(got, want, tolerance(K) * rms(sums) * 2.13 * largest + 2 ** -11 * largest ** 2, "gated");
});

Deno.test("results in f32 may be larger than sums in f16: they are summed in f32", async () => {
  using device = await openDevice({ candidate: "gemm_half", profile: true });
  if (!device.traits.f16) return;
  const x = tensor(new Float32Array(64).fill(256), [1, 64], { dtype: "f16" });
  assert.equal(await linear(x, { weight: x }, { dtype: "f32" }).item(), 256 * 256 * 64);
});

/** Numbers that f16 holds. */
function halves(dice: Dice, shape: number[]): Nd {
  return new Nd(shape, Float16Array.from(Nd.random(dice, shape).data));
}

function upload(x: Nd): Tensor {
  return tensor(Float32Array.from(x.data), x.shape, { dtype: "f16" });
}

function rms({ data }: Nd): number {
  return Math.sqrt(Array.from(data).reduce((sum, v) => sum + v * v, 0) / data.length);
}

/** Fails unless y is x · wᵀ within what its roundings allow. */
async function assertProduct(y: Tensor, x: Nd, w: Nd, what: string): Promise<void> {
  const want = product(x, w.permute([1, 0]));
  assertClose(await y.data(), want.data, tolerance(x.shape[1]!) * rms(want), what);
}
