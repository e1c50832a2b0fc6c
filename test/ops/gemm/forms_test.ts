import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { linearThree } from "../../../src/ops/linear_three.ts";
import { conv2d, linear, matmul, silu } from "../../../src/ops/mod.ts";
import { type Tensor, tensor } from "../../../src/tensor/mod.ts";
import { assertClose, assertRelativelyClose } from "../../support/close.ts";
import { Dice } from "../../support/dice.ts";
import { asGpu } from "../../support/engines.ts";
import { convolution, F32, GEMM_CASES, product } from "../../support/gemm_cases.ts";
import { Nd } from "../../support/nd.ts";
import { pack } from "../../support/pack.ts";

/** The kernels that a function ran on a device where one form is taken wherever it is right. */
async function kernelsOf(candidate: string, run: () => Promise<void>): Promise<Set<string>> {
  using device = await openDevice({ candidate, profile: true });
  await run();
  return new Set((await device.profiler!.rows()).map(({ kernel }) => kernel));
}

/** Fails unless y is x · wᵀ, summed in f32 in whatever order: each of K sums is off by 2^-24 of the magnitudes so far, and each product. */
async function assertProduct(y: Tensor, x: Nd, w: Nd, what: string): Promise<void> {
  const turned = w.permute([1, 0]);
  const magnitudes = product(x.map(Math.abs), turned.map(Math.abs));
  const bound = 2 * x.shape[1]! * 2 ** -24 * Math.max(...Array.from(magnitudes.data));
  assertClose(await y.data(), product(x, turned).data, bound, what);
}

const EDGES = [[1, 8, 7], [7, 63, 8], [8, 1, 63], [63, 65, 65], [65, 40, 1], [131, 64, 130]] as const;

for (const tile of [32, 64, 128]) {
  Deno.test(`products in tiles of ${tile} are right at all edges`, async () => {
    const ran = await kernelsOf(`gemm_tiled_${tile}`, async () => {
      const dice = new Dice(71);
      for (const [M, K, N] of EDGES) {
        const [x, w] = [Nd.random(dice, [M, K]), Nd.random(dice, [N, K])];
        await assertProduct(linear(x.upload(), { weight: w.upload() }), x, w, `[${M}, ${K}] by [${N}, ${K}]`);
      }
      const [a, b] = [Nd.random(dice, [2, 35, 40]), Nd.random(dice, [40, 36])]; // columns side by side
      const want = product(a, b).data;
      assertRelativelyClose(await matmul(a.upload(), b.upload()).data(), want, F32.bound, "matmul");
    });
    assert.ok(ran.has(`gemm_tiled_${tile}`));
  });
}

Deno.test("all kinds of products and convolutions are right in tiles and in parts", async () => {
  for (const [name, run] of Object.entries(GEMM_CASES)) {
    const ran = await kernelsOf("gemm_tiled_32", () => run(F32));
    assert.ok(ran.has("gemm_tiled_32"), name);
  }
});

Deno.test("a sum in parts is the whole sum, with what follows, the same in every run", async () => {
  const dice = new Dice(72);
  const [M, K, N] = [33, 520, 34]; // 17 steps of 32
  const [x, w] = [Nd.random(dice, [M, K]), Nd.random(dice, [N, K])];
  for (const parts of [2, 4]) {
    const runs: Float32Array[] = [];
    const sums: number[] = [];
    const ran = await kernelsOf(`gemm_tiled_32_split${parts}`, async () => {
      const weight = w.upload();
      const y = linear(x.upload(), { weight });
      await assertProduct(y, x, w, `${parts} parts`);
      sums.push(...await y.data());
      for (let i = 0; i < 2; i++) {
        runs.push(await silu(linear(x.upload(), { weight })).data() as Float32Array);
      }
    });
    assert.ok(ran.has(`gemm_tiled_32_split${parts}`) && ran.has("gemm_tiled_32"));
    assert.deepEqual(runs[0], runs[1]);
    // The same sums, so that only silu's roundings are left: (3 + 2 |v|) ULP of exp, 2.5 of the quotient (WGSL, section 15.7.4).
    const most = sums.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    const want = sums.map((v) => v / (1 + Math.exp(-v)));
    assertRelativelyClose(runs[0]!, want, (7 + 2 * most) * 2 ** -23, "silu");
  }
});

Deno.test("a convolution's sum is cut within and between taps, for each picture and group", async () => {
  const dice = new Dice(73);
  const [x, w] = [Nd.random(dice, [2, 80, 4, 5]), Nd.random(dice, [6, 40, 3, 3])];
  const shift = Nd.random(dice, [2, 6]);
  const want = convolution(x, w, new Nd([6], [0, 0, 0, 0, 0, 0]), { padding: 1, groups: 2 });
  for (const parts of [2, 4]) { // of 18 steps
    const ran = await kernelsOf(`gemm_tiled_32_split${parts}`, async () => {
      const y = conv2d(x.upload(), { weight: w.upload() }, { padding: 1, groups: 2 });
      const shifted = y.add(shift.upload().reshape([2, 6, 1, 1]));
      const sums = want.zip(shift.reshape([2, 6, 1, 1]), (a, b) => a + b);
      assertRelativelyClose(await shifted.data(), sums.data, F32.bound, `${parts} parts`);
    });
    assert.ok(ran.has(`gemm_tiled_32_split${parts}`));
  }
});

Deno.test("products of few rows read weights once, in every format", async () => {
  const ran = await kernelsOf("gemv", async () => {
    const dice = new Dice(74);
    for (
      const [M, K, N] of [[1, 520, 7], [7, 63, 8], [8, 1, 33]] as const
    ) {
      const [x, w] = [Nd.random(dice, [M, K]), Nd.random(dice, [N, K])];
      const y = linear(x.upload(), { weight: w.upload() });
      await assertProduct(y, x, w, `[${M}, ${K}] by [${N}, ${K}]`);
    }
    const [x, w] = [Nd.random(dice, [2, 24, 1, 1]), Nd.random(dice, [5, 24, 3, 3])]; // a pixel is a row
    const want = convolution(x, w, new Nd([5], [0, 0, 0, 0, 0]), { padding: 1 });
    const y = conv2d(x.upload(), { weight: w.upload() }, { padding: 1 });
    assertRelativelyClose(await y.data(), want.data, F32.bound, "conv2d");
  });
  assert.deepEqual([...ran].filter((name) => name.startsWith("gem")), ["gemv"]);
});

for (const dtype of ["int8", "int4", "f16"] as const) {
  Deno.test(`few rows by ${dtype} are multiplied as its values`, async () => {
    using device = await openDevice({ candidate: "gemv", profile: true });
    if (dtype === "f16" && !device.traits.f16) return;
    const dice = new Dice(75);
    const identity = tensor(Float32Array.from({ length: 96 * 96 }, (_, i) => i % 97 === 0 ? 1 : 0), [96, 96]);
    using packed = dtype === "f16" ? undefined : await pack(device, dtype, [37, 96]);
    const weight = packed?.weight ?? tensor(dice.numbers(37 * 96, 1), [37, 96], { dtype: "f16" });
    const w = new Nd([37, 96], [...await linear(identity, { weight }).permute([1, 0]).data()]); // by another form
    const x = Nd.random(dice, [3, 96]);
    await assertProduct(linear(x.upload(), { weight }), x, w, dtype);
    assert.ok((await device.profiler!.rows()).some(({ kernel }) => kernel === "gemv"));
  });
}

Deno.test("three products of few rows are one dispatch", async () => {
  using device = await openDevice({ candidate: "gemv", profile: true });
  asGpu(device);
  const dice = new Dice(76);
  const x = Nd.random(dice, [2, 12]);
  const weights = [0, 1, 2].map(() => Nd.random(dice, [6, 12]));
  const three = weights.map((w) => w.upload()) as [Tensor, Tensor, Tensor];
  for (const [i, y] of linearThree(x.upload(), three)!.entries()) {
    await assertProduct(y, x, weights[i]!, `product ${i}`);
  }
  const kernels = (await device.profiler!.rows()).map(({ kernel }) => kernel);
  assert.deepEqual(kernels.filter((kernel) => kernel.startsWith("gem")), ["gemv"]);
});
