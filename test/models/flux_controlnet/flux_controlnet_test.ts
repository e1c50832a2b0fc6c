import assert from "node:assert/strict";
import { zeros } from "../../../src/mod.ts";
import {
  FluxControlNetModel,
  type FluxControlNetOptions,
  FluxTransformer2DModel,
} from "../../../src/models/mod.ts";
import { fluxControlNetConfig } from "../../../src/models/flux_controlnet/config.ts";
import { sampleBehind } from "../../../src/models/flux_transformer_2d/control.ts";
import { readTensors } from "../../support/arrays.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import "../../support/device.ts";
import { fixture } from "../../support/fixtures.ts";
import { controlled, fluxControlNetFolder } from "../../support/flux_controlnet.ts";
import { upload } from "../../support/tensors.ts";

const expected = await readTensors(fixture("flux_controlnet/expected.safetensors"));
const given = (name: string) => upload(expected.get(name)!);
const imgIds = [0, 1].flatMap((y) => [0, 1, 2].map((x) => [0, y, x]));
const txtIds = Array.from({ length: 5 }, () => [0, 0, 0]);

async function open(name: string): Promise<FluxControlNetModel> {
  using folder = await fluxControlNetFolder(name);
  return await FluxControlNetModel.fromPretrained(folder.path, { dtype: "f32", onNotice: assert.fail });
}

function options(): FluxControlNetOptions {
  return {
    encoderHiddenStates: given("texts"),
    pooledProjections: given("pooled"),
    timestep: [0.3, 0.9],
    guidance: [3.5, 2],
    imgIds,
    txtIds,
    controlnetMode: [1, 2],
    conditioningScale: 0.7,
  };
}

Deno.test("FluxControlNetModel matches diffusers, reads every key, and its parts are tapped", async () => {
  using net = await open("union");
  const path = "controlnet_mode_embedder";
  const output = net.forward(given("x"), given("cond"), { ...options(), taps: [path] });
  const { controlnetBlockSamples, controlnetSingleBlockSamples, taps } = output;
  assert.equal(controlnetBlockSamples.length, 2);
  assert.equal(controlnetSingleBlockSamples.length, 1);
  for (
    const [name, samples] of [["block", controlnetBlockSamples], [
      "single",
      controlnetSingleBlockSamples,
    ]] as const
  ) {
    for (const [i, sample] of samples.entries()) {
      const want = expected.get(`model/${name}.${i}`)!;
      assert.deepEqual(sample.shape, want.shape);
      assertRelativelyClose(await sample.data(), want.data, 1e-5, `${name} ${i}`);
    }
  }
  assert.deepEqual(taps[path].shape, [2, 16]);
});

Deno.test("FluxControlNetModel refuses inputs that are not for it", async () => {
  using union = await open("union");
  using hint = await open("hint");
  const cases: [() => unknown, string][] = [
    [
      () => union.forward(given("x"), given("x").slice(1, 0, 5), options()),
      "Cannot use controlnetCond: expected shape [2, 6, 64], got [2, 5, 64]",
    ],
    [
      () => union.forward(given("x"), given("cond"), { ...options(), controlnetMode: undefined }),
      "Cannot control: expected controlnetMode from 0 to 2, got none; num_mode is 3",
    ],
    [
      () => union.forward(given("x"), given("cond"), { ...options(), controlnetMode: 3 }),
      "Cannot use controlnetMode 3: expected a whole number from 0 to 2",
    ],
    [
      () => hint.forward(given("x"), zeros([2, 3, 32, 48]), options()),
      "Cannot control: expected no controlnetMode, got one; num_mode is not in its config",
    ],
    [
      () => hint.forward(given("x"), zeros([2, 3, 32, 40]), { ...options(), controlnetMode: undefined }),
      "Cannot use controlnetCond: expected a picture of 6 tokens of 16 x 16 pixels, got [2, 3, 32, 40]",
    ],
    [
      () => union.forward(given("x"), given("cond"), { ...options(), conditioningScale: Infinity }),
      "Cannot control with conditioningScale Infinity: expected a number",
    ],
  ];
  for (const [work, message] of cases) assert.throws(work, { message });
});

Deno.test("FluxTransformer2DModel refuses more samples than it has blocks, and samples of another width", async () => {
  using transformer = await FluxTransformer2DModel.fromPretrained(fixture("flux/pipeline/transformer"), {
    dtype: "f32",
  });
  const { controlnetMode: _, conditioningScale: _scale, ...rest } = options();
  const run = (...controlnetBlockSamples: ReturnType<typeof zeros>[]) =>
    transformer.forward(given("x"), { ...rest, controlnetBlockSamples });
  const sample = zeros([2, 6, 16]);
  assert.throws(() => run(sample, sample, sample), {
    message: "Cannot use controlnetBlockSamples: expected at most 2, as there are blocks, got 3",
  });
  assert.throws(() => run(zeros([2, 6, 8])), {
    message: "Cannot use controlnetBlockSamples[0]: expected shape [2, 6, 16], got [2, 6, 8]",
  });
});

Deno.test("samples of ControlNets go to blocks as in diffusers, in a row or in turn", () => {
  const at = (blocks: number, count: number, repeats: boolean) =>
    Array.from({ length: blocks }, (_, i) => sampleBehind(i, blocks, count, repeats)).join("");
  assert.equal(at(19, 5, false), "0000111122223333444");
  assert.equal(at(19, 2, true), "0101010101010101010");
  assert.equal(at(38, 10, false).length, 38);
});

Deno.test("a config whose features do not fit is refused", () => {
  const config = { ...controlled.nets["hint"], patch_size: 1 };
  assert.throws(
    () => fluxControlNetConfig.parse(config),
    /"in_channels".*"16, the features of 1 x 1 places"/s,
  );
});
