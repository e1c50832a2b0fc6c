import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { linearGeglu } from "../../../src/ops/linear_geglu.ts";
import { linearThree } from "../../../src/ops/linear_three.ts";
import { conv2d, linear } from "../../../src/ops/mod.ts";
import { type Tensor, tensor } from "../../../src/tensor/mod.ts";
import { assertClose } from "../../support/close.ts";
import { Dice } from "../../support/dice.ts";
import { asGpu, testOnMatrixUnits } from "../../support/engines.ts";
import { F16, GEMM_CASES, product } from "../../support/gemm_cases.ts";
import { gelu } from "../../support/gemm_problem.ts";
import { Nd } from "../../support/nd.ts";
import { pack } from "../../support/pack.ts";
import { shaderFiles } from "../../support/shader_files.ts";
import { onHost } from "../../support/tensors.ts";

for (const [name, run] of Object.entries(GEMM_CASES)) {
  testOnMatrixUnits(`on matrix units, ${name}`, async () => {
    using _device = await openDevice({ candidate: "gemm_matrix" });
    await run(F16);
  });
}

testOnMatrixUnits("products in every size of tile are right at all edges", async () => {
  const run: string[] = [];
  for (const tile of ["128x128", "128x64", "64x64", "32x32"]) {
    using device = await openDevice({ candidate: `gemm_matrix_${tile}`, profile: true });
    const dice = new Dice(61);
    for (const [M, K, N] of [[1, 8, 7], [7, 63, 8], [8, 1, 63], [63, 65, 65], [65, 40, 1], [131, 64, 130]]) {
      const x = halves(dice, [M!, K!]);
      const w = halves(dice, [N!, K!]);
      const y = linear(upload(x), { weight: upload(w) }, { dtype: "f32" });
      await assertProduct(y, x, w, `${tile}: [${M}, ${K}] by [${N}, ${K}]`);
    }
    const kernels = new Set((await device.profiler!.rows()).map(({ kernel }) => kernel));
    if (kernels.has(`gemm_matrix_${tile}`)) run.push(tile); // others are too large, or too small, for the matrices here
  }
  console.log(`tiles: ${run.join(", ")}`);
  assert.ok(run.length >= 2);
});

testOnMatrixUnits("products are right where memory is short", async () => {
  const dice = new Dice(64);
  const [x, w] = [halves(dice, [70, 96]), halves(dice, [67, 96])];
  for (const workgroupMemory of [24_000, 20_000, 6_500]) {
    using device = await openDevice({ candidate: "gemm_matrix", profile: true });
    Object.assign(device.traits, { workgroupMemory });
    const y = linear(upload(x), { weight: upload(w) }, { dtype: "f32" });
    await assertProduct(y, x, w, `${workgroupMemory} bytes`);
    const kernels = (await device.profiler!.rows()).map(({ kernel }) => kernel);
    const are8 = device.traits.matrices.every(({ M }) => M === 8);
    if (are8) assert.ok(kernels.some((name) => name.startsWith("gemm_matrix")), kernels.join());
  }
});

for (const dtype of ["int8", "int4"] as const) {
  testOnMatrixUnits(`${dtype} is multiplied as its values in f16`, async () => {
    using device = await openDevice({ candidate: "gemm_matrix" });
    const dice = new Dice(62);
    using packed = await pack(device, dtype, [37, 96]);
    const identity = tensor(Float32Array.from({ length: 96 * 96 }, (_, i) => i % 97 === 0 ? 1 : 0), [96, 96]);
    const exact = await onHost(linear(identity, { weight: packed.weight }).permute([1, 0]));
    const w = new Nd(exact.shape, Float16Array.from(exact.data));
    const x = halves(dice, [9, 96]);
    // A value of int8 is rounded twice, its scale and itself; of int4 once, as here.
    const rounded = dtype === "int8" ? 2 ** -10 : 0;
    await assertProduct(
      linear(upload(x), { weight: packed.weight }, { dtype: "f32" }),
      x,
      w,
      "linear",
      rounded,
    );

    using kernel = await pack(device, dtype, [6, 32, 3, 3]);
    const picture = tensor(dice.numbers(32 * 5 * 4), [1, 32, 5, 4], { dtype: "f16" });
    const got = await conv2d(picture, kernel, { padding: 1 }).data();
    const want = await conv2d(picture.cast("f32"), kernel, { padding: 1 }).data();
    // Each of 288 terms, at most 2 in size, is off by 2^-10 at most, as its weight is rounded twice, and the result once.
    assertClose(got, want, 2 ** -10 * 288 * 2 + 2 ** -11 * largest(want), "conv2d");
  });
}

testOnMatrixUnits("linearGeglu() and linearThree() are one dispatch on matrix units", async () => {
  using device = await openDevice({ candidate: "gemm_matrix", profile: true });
  asGpu(device);
  const dice = new Dice(63);
  for (const [M, K, N] of [[35, 40, 8], [70, 24, 35]] as const) {
    const x = halves(dice, [M, K]);
    const [hidden, gate, third] = [0, 1, 2].map(() => halves(dice, [N, K])) as [Nd, Nd, Nd];
    const bias = halves(dice, [2 * N]);
    const both = new Nd([2 * N, K], [...Array.from(hidden.data), ...Array.from(gate.data)]);
    const got = await linearGeglu(upload(x), { weight: upload(both), bias: upload(bias) }).data();
    const sums = product(x, both.permute([1, 0])).zip(bias, (a, b) => a + b);
    const want = Nd.from([M, N], ([m, n]) => sums.at([m!, n!]) * gelu(sums.at([m!, n! + N])));
    assertClose(got, want.data, (2 ** -11 + 1e-5) * largest(want.data), "gated");

    const three = [hidden, gate, third].map(upload) as [Tensor, Tensor, Tensor];
    for (const [i, y] of linearThree(upload(x), three)!.entries()) {
      const exact = product(x, [hidden, gate, third][i]!.permute([1, 0])).data;
      assertClose(
        await y.data(),
        exact,
        (2 ** -11 + 1e-5) * largest(exact),
        `${i}`,
      );
    }
  }
  assert.ok((await device.profiler!.rows()).every(({ kernel }) => !kernel.startsWith("gemm_tiled")));
});

/** Numbers that f16 holds. */
function halves(dice: Dice, shape: number[]): Nd {
  return new Nd(shape, Float16Array.from(Nd.random(dice, shape).data));
}

function upload(x: Nd): Tensor {
  return tensor(Float32Array.from(x.data), x.shape, { dtype: "f16" });
}

/**
 * Fails unless y is x · wᵀ in f32, in whatever order it was summed: products of halves are exact in f32, and each of K sums
 * is off by 2^-24 of the magnitudes summed so far. Weights may be off by `rounded` of themselves.
 */
async function assertProduct(y: Tensor, x: Nd, w: Nd, what: string, rounded = 0): Promise<void> {
  const turned = w.permute([1, 0]);
  const magnitudes = product(x.map(Math.abs), turned.map(Math.abs));
  const bound = (x.shape[1]! * 2 ** -24 + rounded) * largest(magnitudes.data);
  assertClose(await y.data(), product(x, turned).data, bound, what);
}

function largest(values: ArrayLike<number>): number {
  return Math.max(...Array.from(values, Math.abs));
}

Deno.test("arrays of matrices are set to zero element by element, as a driver leaves others as they are", () => {
  let count = 0;
  for (const { name, text } of shaderFiles()) {
    assert.doesNotMatch(text, /array<Sums\b[^>]*>\(/, name);
    for (const [, array] of text.matchAll(/var (\w+): array<Sums\b/g)) {
      assert.match(text, new RegExp(`\\b${array}\\[i\\] = Sums\\(0\\);`), `${array} of ${name}`);
      count++;
    }
  }
  assert.ok(count >= 3);
});
