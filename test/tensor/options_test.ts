import assert from "node:assert/strict";
import * as denoise from "../../src/mod.ts";
import { DiagonalGaussianDistribution } from "../../src/models/mod.ts";
import * as ops from "../../src/ops/mod.ts";
import type { Tensor } from "../../src/tensor/mod.ts";
import "../support/device.ts";

// deno-lint-ignore no-explicit-any
type Loose = any; // as in programs whose types nobody checks
const loose: Loose = { ...denoise, ...ops };
const { manualSeed, tensor, zeros } = denoise;

Deno.test("an option that is not known, or that stands where torch has it, is refused and not left out", async () => {
  const x: Loose = tensor([[1, 2, 3], [4, 5, 6]]);
  const picture = zeros([1, 1, 4, 4]);
  const moments: Loose = new DiagonalGaussianDistribution(zeros([1, 8, 2, 2]));
  const calls: [string, () => unknown][] = [
    [
      "Cannot draw a tensor: expected options in an object, as in { generator: … }, got a TorchCpuGenerator",
      () => loose.randn([2], manualSeed(0)),
    ],
    [
      "Cannot draw a tensor: expected options in an object, as in { generator: … }, got a TorchCpuGenerator",
      () => moments.sample(manualSeed(0)),
    ],
    [
      "Cannot draw a tensor with seed: no such option; expected some of generator, dtype",
      () => loose.rand([2], { seed: 0 }),
    ],
    [
      "Cannot draw a tensor with dtype: no such option; expected some of generator",
      () => loose.randint(0, 2, [2], { dtype: "f32" }),
    ],
    [
      "Cannot draw a tensor of float16: expected f32 or f16; name one as dtype",
      () => loose.randn([2], { dtype: "float16" }),
    ],
    [
      "Cannot draw a tensor: expected options in an object, as in { generator: … }, got 3",
      () => loose.randn(2, 3),
    ],
    [
      "Cannot make a tensor with device: no such option; expected some of dtype",
      () => loose.zeros([2], { device: "cuda" }),
    ],
    [
      "Cannot make a tensor with device: no such option; expected some of dtype",
      () => loose.onesLike(x, { device: "cuda" }),
    ],
    [
      'Cannot seed a generator: expected options in an object, as in { like: … }, got "cuda"',
      () => loose.manualSeed(0, "cuda"),
    ],
    ["Cannot reduce: expected options in an object, as in { keepdim: … }, got true", () => x.sum(1, true)],
    ["Cannot reduce with keepDim: no such option; did you mean keepdim?", () => x.mean(1, { keepDim: true })],
    [
      "Cannot reduce with keepdims: no such option; did you mean keepdim?",
      () => x.amax(1, { keepdims: true }),
    ],
    [
      "Cannot reduce with unbiased: no such option; expected some of correction, keepdim",
      () => x.std(1, { unbiased: false }),
    ],
    ["Cannot sort: expected options in an object, as in { descending: … }, got true", () => x.sort(1, true)],
    [
      "Cannot take the top: expected options in an object, as in { largest: … }, got false",
      () => x.topk(1, 1, false),
    ],
    [
      "Cannot take a quantile: expected options in an object, as in { keepdim: … }, got true",
      () => x.quantile(0.5, 1, true),
    ],
    [
      'Cannot pad: expected options in an object, as in { mode: … }, got "constant"',
      () => x.pad([1, 1], "constant", 5),
    ],
    [
      "Cannot divide with rounding_mode: no such option; did you mean roundingMode?",
      () => x.div(2, { rounding_mode: "floor" }),
    ],
    [
      "Cannot interpolate with scale_factor: no such option; did you mean scaleFactor?",
      () => loose.interpolate(picture, { scale_factor: 2 }),
    ],
    [
      "Cannot convolve with pad: no such option; did you mean padding?",
      () => loose.conv2d(picture, { weight: picture }, { pad: 1 }),
    ],
    [
      "Cannot normalise groups with epsilon: no such option; did you mean eps?",
      () => loose.groupNorm(picture, {}, { groups: 1, epsilon: 1 }),
    ],
    [
      "Cannot normalise rows: expected options in an object, as in { eps: … }, got 1",
      () => loose.layerNorm(x, null, 1),
    ],
    [
      "Cannot normalise rows with groups: no such option; expected some of eps",
      () => loose.rmsNorm(x, null, { groups: 1 }),
    ],
    [
      "Cannot pool with strides: no such option; did you mean stride?",
      () => loose.avgPool2d(picture, { kernel: 2, strides: 1 }),
    ],
    [
      "Cannot embed timesteps with scales: no such option; did you mean scale?",
      () => loose.timestepEmbedding([1], { dim: 4, scales: 2 }),
    ],
    [
      "Cannot upsample with sizes: no such option; did you mean size?",
      () => loose.upsampleNearest(picture, { sizes: [8, 8] }),
    ],
    [
      "Cannot rotate with pair: no such option; did you mean pairs?",
      () => loose.rotary(x, x, x, { pair: "halves" }),
    ],
    ["Cannot transform with axes: no such option; did you mean axis?", () => loose.rfft(x, { axes: [1] })],
    [
      "Cannot transform with nrm: no such option; did you mean norm?",
      () => loose.ifft2(x, { nrm: "ortho" }),
    ],
    [
      "Cannot convolve: expected { weight, bias } with a tensor as weight, got tensor [1, 1, 4, 4] f32",
      () => loose.conv2d(picture, picture),
    ],
    [
      "Cannot apply weights: expected { weight, bias } with a tensor as weight, got tensor [2, 3] f32",
      () => loose.linear(x, x),
    ],
  ];
  for (const [message, call] of calls) assert.throws(call, { name: "TypeError", message });
  assert.deepEqual(await x.sum(1, { keepdim: undefined }).tolist(), [6, 15]); // as if it were left out
});

Deno.test("a tensor is no number: operators are refused, texts are not", () => {
  const x = tensor([1, 2]) as unknown as number;
  const message =
    "Cannot take tensor [2] f32 as a number: expected methods in place of operators, as in x.mul(2) or x.gt(0), or a " +
    "value that was read, as in await x.item()";
  for (const use of [() => x * 2, () => x > 0, () => -x, () => Number(x), () => Math.abs(x)]) {
    assert.throws(use, { name: "TypeError", message });
  }
  assert.equal(`${x}`, "tensor [2] f32");
  assert.equal("x: " + x, "x: tensor [2] f32");
});

Deno.test("progress() says what it wants to go through, and scopes what they keep", async () => {
  const loop = async () => {
    for await (const _ of loose.progress(5)) break;
  };
  await assert.rejects(loop, {
    message: "Cannot show progress: expected a list, as scheduler.timesteps is, got 5",
  });
  using made = denoise.scope();
  assert.throws(() => made.keep([tensor([1])] as unknown as Tensor), {
    message: "Cannot keep a list: expected a tensor",
  });
});
