import assert from "node:assert/strict";
import { streamOf } from "../../../src/graph/run/stream.ts";
import { zeros } from "../../../src/mod.ts";
import {
  type LoadOptions,
  ZImageControlNetModel,
  ZImageTransformer2DModel,
} from "../../../src/models/mod.ts";
import { readTensors } from "../../support/arrays.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import { device } from "../../support/device.ts";
import { fixture } from "../../support/fixtures.ts";
import { assertTensor, onHost, upload } from "../../support/tensors.ts";
import { controlled, controlNetFolder } from "../../support/z_image_controlnet.ts";

const stored = await readTensors(fixture("z_image_controlnet/expected.safetensors"));
const input = (name: string) => upload(stored.get(name)!);
const { times, lengths: capLengths } = controlled;

const openTransformer = () =>
  ZImageTransformer2DModel.fromPretrained(fixture("zimage/pipeline/transformer"), { dtype: "f32" });

async function openNet(version: string, options: LoadOptions = {}): Promise<ZImageControlNetModel> {
  using folder = await controlNetFolder(version);
  return await ZImageControlNetModel.fromPretrained(folder.path, { dtype: "f32", ...options });
}

Deno.test("ZImageControlNetModel follows diffusers with captions of different lengths", async () => {
  using transformer = await openTransformer();
  using net = ZImageControlNetModel.fromTransformer(await openNet("v2.1"), transformer);
  const { controlnetBlockSamples: samples } = net.forward(
    input("x"),
    times,
    input("caps"),
    input("context"),
    { capLengths, conditioningScale: 0.7 },
  );
  assert.deepEqual(Object.keys(samples), ["0", "1"]);
  const want = upload(stored.get("model/1")!);
  const read = 32 + 32; // tokens of the first row: the rest fills it up, and nothing reads it
  const [first, second] = [samples[1]!.slice(0, 0, 1).slice(1, 0, read), samples[1]!.slice(0, 1)];
  await assertTensor(first, await onHost(want.slice(0, 0, 1).slice(1, 0, read)), 2e-5, "first row");
  await assertTensor(second, await onHost(want.slice(0, 1)), 2e-5, "second row");
});

Deno.test("ZImageControlNetModel in f16 stays near f32", async () => {
  const samples = async (dtype: "f32" | "f16") => {
    using transformer = await ZImageTransformer2DModel.fromPretrained(
      fixture("zimage/pipeline/transformer"),
      { dtype },
    );
    using net = ZImageControlNetModel.fromTransformer(await openNet("v2.0", { dtype }), transformer);
    const { controlnetBlockSamples } = net.forward(input("x"), 0.3, input("caps"), input("context"));
    return await onHost(controlnetBlockSamples[1]!);
  };
  const [half, whole] = [await samples("f16"), await samples("f32")];
  assertRelativelyClose(half.data, whole.data, 1e-2, "sample");
});

Deno.test("ZImageControlNetModel takes another factor without a new trace, and what it adds changes the velocity", async () => {
  using transformer = await openTransformer();
  using net = ZImageControlNetModel.fromTransformer(await openNet("v2.0"), transformer);
  const [x, caps, context] = [input("x"), input("caps"), input("context")];
  const plain = await transformer.forward(x, times, caps).sample.data();
  const drawn = (conditioningScale: number) => {
    const { controlnetBlockSamples } = net.forward(x, times, caps, context, { conditioningScale });
    return transformer.forward(x, times, caps, { controlnetBlockSamples }).sample;
  };
  await assertTensor(drawn(0), { shape: x.shape, data: plain }, 1e-6, "velocity");
  const kernels = device.pipelines.statistics.count;
  const far = await drawn(1).data();
  assert.ok(far.some((value, i) => Math.abs(value - plain[i]!) > 0.1));
  assert.equal(device.pipelines.statistics.count, kernels);
});

Deno.test("ZImageControlNetModel runs the blocks of the caption once in a loop", async () => {
  using transformer = await openTransformer();
  using net = ZImageControlNetModel.fromTransformer(await openNet("v1"), transformer);
  const [x, caps, context] = [input("x"), input("caps"), input("context").slice(1, 0, 16).clone()];
  const work = async (t: number) => {
    await net.forward(x, t, caps, context).controlnetBlockSamples[0]!.data();
    return streamOf(device).statistics.dispatches;
  };
  const first = await work(0.1);
  await work(0.2); // finds what stays
  assert.ok(await work(0.3) < first - 10);
});

Deno.test("ZImageControlNetModel sees what is changed in layers of its transformer", async () => {
  using transformer = await openTransformer();
  using net = ZImageControlNetModel.fromTransformer(await openNet("v2.1"), transformer);
  using edit = transformer.edit("noise_refiner.0", (y, _inputs, { by }) => y.mul(by!), { values: { by: 1 } });
  const samples = async () =>
    await net.forward(input("x"), times, input("caps"), input("context")).controlnetBlockSamples[0]!.data();
  const before = await samples();
  edit.set({ by: 2 });
  assert.notDeepEqual(await samples(), before);
});

Deno.test("ZImageControlNetModel gives parts by their paths", async () => {
  using transformer = await openTransformer();
  using net = ZImageControlNetModel.fromTransformer(await openNet("v2.1"), transformer);
  const paths = [
    "control_all_x_embedder.2-1",
    "control_noise_refiner.0.after_proj",
    "control_layers.1",
  ] as const;
  const { taps, controlnetBlockSamples } = net.forward(input("x"), times, input("caps"), input("context"), {
    taps: paths,
  });
  assert.deepEqual(taps["control_all_x_embedder.2-1"].shape, [2, 12, 24]);
  assert.deepEqual(taps["control_noise_refiner.0.after_proj"].shape, [2, 32, 24]);
  await assertTensor(taps["control_layers.1"], await onHost(controlnetBlockSamples[1]!), 0, "tap");
});

Deno.test("ZImageControlNetModel refuses what does not fit", async () => {
  using transformer = await openTransformer();
  using net = await openNet("v2.1");
  const [x, caps, context] = [input("x"), input("caps"), input("context")];
  assert.throws(() => net.forward(x, 0, caps, context), {
    message:
      "Cannot run ZImageControlNetModel: it has no transformer to share layers with; call ZImageControlNetModel.fromTransformer",
  });
  ZImageControlNetModel.fromTransformer(net, transformer);
  assert.throws(() => net.forward(x, 0, caps, context.slice(1, 0, 16)), {
    message: "Cannot use controlContext: expected shape [2, 33, 6, 8], got [2, 16, 6, 8]",
  });
  assert.throws(
    () => net.forward(x, 0, caps, context, { conditioningScale: NaN }),
    /Cannot control with conditioningScale NaN: expected a number/,
  );
  assert.throws(
    () => transformer.forward(x, 0, caps, { controlnetBlockSamples: { 2: zeros([2, 96, 24]) } }),
    /Cannot use controlnetBlockSamples: expected numbers of blocks from 0 to 1, got 2/,
  );
  assert.throws(
    () => transformer.forward(x, 0, caps, { controlnetBlockSamples: { [-1]: zeros([2, 96, 24]) } }),
    /expected numbers of blocks from 0 to 1, got -1/,
  );
  assert.throws(
    () => transformer.forward(x, 0, caps, { controlnetBlockSamples: { 1: zeros([2, 64, 24]) } }),
    /Cannot use controlnetBlockSamples\[1\]: expected shape \[2, 96, 24\], got \[2, 64, 24\]/,
  );
  for (
    const [key, value, message] of [
      ["dim", 48, /expected dim 24, as the transformer has, got 48; it is for another model/],
      [
        "control_layers_places",
        [0, 2],
        /expected control_layers_places below 2, as the transformer has, got 2/,
      ],
      ["all_patch_size", [1], /expected all_patch_size 2-1, as the transformer has, got 1-1/],
    ] as const
  ) {
    const config = { ...net.config, [key]: value };
    const other = Object.create(net, { config: { value: config } });
    assert.throws(() => ZImageControlNetModel.fromTransformer(other, transformer), message);
  }
});
