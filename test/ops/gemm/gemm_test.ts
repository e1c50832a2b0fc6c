import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { streamOf } from "../../../src/graph/run/stream.ts";
import { linearGeglu } from "../../../src/ops/linear_geglu.ts";
import { linearThree, type Weights3 } from "../../../src/ops/linear_three.ts";
import { conv2d, geglu, linear, matmul, silu } from "../../../src/ops/mod.ts";
import { type Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { assertClose } from "../../support/close.ts";
import { runChild } from "../../support/child.ts";
import "../../support/device.ts";
import { Dice } from "../../support/dice.ts";
import { asGpu, testOnBothEngines } from "../../support/engines.ts";
import { GEMM_CASES, product } from "../../support/gemm_cases.ts";
import { Nd } from "../../support/nd.ts";
import { assertTensor } from "../../support/tensors.ts";

for (const [name, run] of Object.entries(GEMM_CASES)) testOnBothEngines(name, () => run());

for (const [width, lanes] of [[512, 16], [1024, 32]]) {
  Deno.test(`products are right on an adapter with ${lanes} lanes in a subgroup`, async () => {
    const code = `
      import { openDevice } from "./src/gpu/open/open.ts";
      import { GEMM_CASES } from "./test/support/gemm_cases.ts";
      using device = await openDevice({ engine: "dawn" });
      console.log(device.traits.software ? device.traits.lanes : "a GPU");
      await Object.values(GEMM_CASES)[0](); // compiling all would take a minute
      console.log("right");`;
    const { code: exit, stdout, stderr } = await runChild(code, {
      env: { LP_NATIVE_VECTOR_WIDTH: String(width) },
    });
    assert.equal(exit, 0, stderr);
    if (!stdout.startsWith("a GPU")) assert.equal(stdout, `${lanes}\nright\n`);
  });
}

Deno.test("products without rows, columns or terms have the right shape and only the bias", async () => {
  const bias = tensor([1, 2, 3]);
  const cases: [Tensor, number[], number[]][] = [
    [matmul(zeros([2, 0]), zeros([0, 3])), [2, 3], [0, 0, 0, 0, 0, 0]],
    [matmul(zeros([0, 4]), zeros([4, 3])), [0, 3], []],
    [matmul(zeros([0, 2, 4]), zeros([4, 3])), [0, 2, 3], []],
    [linear(zeros([2, 0]), { weight: zeros([3, 0]), bias }), [2, 3], [1, 2, 3, 1, 2, 3]],
    [linear(zeros([0, 5]), { weight: zeros([3, 5]), bias }), [0, 3], []],
    [conv2d(zeros([0, 2, 4, 4]), { weight: zeros([3, 2, 3, 3]), bias }), [0, 3, 2, 2], []],
    [conv2d(zeros([1, 0, 1, 2]), { weight: zeros([3, 0, 1, 1]), bias }), [1, 3, 1, 2], [1, 1, 2, 2, 3, 3]],
  ];
  for (const [got, shape, values] of cases) {
    assert.deepEqual([...got.shape], shape);
    assert.deepEqual([...await got.data()], values);
  }
});

testOnBothEngines("products in f16 take forms for GPUs that the engine's shaders can be", async (device) => {
  if (!device.traits.f16) return;
  asGpu(device);
  const dice = new Dice(57);
  const whole = (shape: number[]) => Nd.from(shape, () => dice.int(-2, 2)); // whose sums are exact
  const [x, w] = [whole([40, 24]), whole([36, 24])];
  const [tx, tw] = [x, w].map((nd) => nd.upload().to("f16")) as [Tensor, Tensor];
  await assertTensor(linear(tx, { weight: tw }), product(x, w.permute([1, 0])), 0, "linear");
});

Deno.test("a product in f16 keeps f32 sums", async () => {
  using device = await openDevice();
  if (!device.traits.f16) return;
  const a = tensor(new Float32Array(4096).fill(1 / 64), [1, 4096], { dtype: "f16" });
  const got = await linear(a, { weight: a }).item();
  assert.equal(got, 1); // f16 sums of 2^-12 would stop growing at 0.5
});

Deno.test("f16 operands in any alignment give the f32 result rounded", async () => {
  using device = await openDevice();
  if (!device.traits.f16) return;
  const dice = new Dice(55);
  for (const K of [8, 5]) {
    const x = tensor(dice.numbers(3 * K, 1), [3, K], { dtype: "f16" });
    const w = tensor(dice.numbers(6 * K, 1), [6, K], { dtype: "f16" });
    const want = await linear(x.cast("f32"), { weight: w.cast("f32") }).data();
    assertClose(await linear(x, { weight: w }).data(), want, 2e-3, `K = ${K}`);
    assertClose(await linear(x, { weight: w }).cast("f32").data(), want, 1e-5, `K = ${K}, stored as f32`);
  }
});

testOnBothEngines(
  "linearGeglu() is the gated product, in one dispatch as for GPUs, with what follows",
  async (device) => {
    const dice = new Dice(56);
    const [M, K, N] = [70, 6, 5];
    const [x, weight, bias] = [[M, K], [2 * N, K], [2 * N]].map((shape) => Nd.random(dice, shape)) as [
      Nd,
      Nd,
      Nd,
    ];
    const both = product(x, weight.permute([1, 0])).zip(bias, (a, b) => a + b);
    const halves = tensor(Float32Array.from(both.data), [M, 2 * N]);
    const want = new Nd([M, N], await silu(geglu(halves)).data());
    const weights = { weight: weight.upload(), bias: bias.upload() };
    await assertTensor(silu(linearGeglu(x.upload(), weights)), want, 1e-5, "as chosen");
    asGpu(device);
    const y = silu(linearGeglu(x.upload(), weights));
    await assertTensor(y, want, 1e-5, "for GPUs");
    assert.equal(streamOf(device).statistics.dispatches, 1);
  },
);

testOnBothEngines("linearThree() is three products in one dispatch on GPUs", async (device) => {
  const dice = new Dice(57);
  const [B, M, K, N] = [2, 35, 8, 7];
  const x = Nd.random(dice, [B, M, K]);
  const weights = [0, 1, 2].map(() => Nd.random(dice, [N, K]));
  const [a, b, c] = weights.map((weight) => weight.upload()) as [Tensor, Tensor, Tensor];
  if (device.traits.software) assert.equal(linearThree(x.upload(), [a, b, c]), undefined);
  asGpu(device);
  for (const [i, y] of linearThree(x.upload(), [a, b, c])!.entries()) {
    await assertTensor(y, product(x, weights[i]!.permute([1, 0])), 2e-6, `product ${i}`);
  }
  const biases = [0, 1, 2].map(() => Nd.random(dice, [N]));
  const uploaded = biases.map((bias) => bias.upload()) as unknown as Weights3;
  for (const [i, y] of linearThree(x.upload(), [a, b, c], uploaded)!.entries()) {
    const want = product(x, weights[i]!.permute([1, 0])).zip(biases[i]!, (a, b) => a + b);
    await assertTensor(y, want, 2e-6, `product ${i} with its bias`);
  }
  assert.equal(linearThree(x.upload(), [a, b, zeros([N + 1, K])]), undefined);
  assert.equal(
    linearThree(x.slice(2, 0, 6).upload(), [a, b, c].map((w) => w!.slice(1, 0, 6)) as unknown as Weights3),
    undefined,
  );
});

Deno.test("operands that do not fit are refused with both shapes", () => {
  const refusals: [() => unknown, RegExp][] = [
    [
      () => matmul(zeros([2, 3]), zeros([4, 5])),
      /^RangeError: Cannot multiply tensor \[2, 3\] f32 by tensor \[4, 5\] f32: /,
    ],
    [() => matmul(zeros([4]), zeros([3, 2])), /^RangeError: Cannot multiply /],
    [
      () => linear(zeros([2, 3]), { weight: zeros([5, 4]) }),
      /^RangeError: Cannot apply .* expected a weight \[N, 3\]$/,
    ],
    [
      () => conv2d(zeros([1, 3, 4, 4]), { weight: zeros([2, 4, 3, 3]) }),
      /^RangeError: Cannot convolve .* with the same C$/,
    ],
    [
      () => conv2d(zeros([1, 3, 2, 2]), { weight: zeros([2, 3, 3, 3]) }),
      /^RangeError: Cannot convolve .* smaller than the kernel/,
    ],
  ];
  for (const [run, message] of refusals) assert.throws(run, message);
});
