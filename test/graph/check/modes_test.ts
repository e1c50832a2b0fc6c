import assert from "node:assert/strict";
import { join } from "node:path";
import { type DeviceOptions, openDevice } from "../../../src/gpu/open/open.ts";
import type { Device } from "../../../src/gpu/device.ts";
import { randn } from "../../../src/random/mod.ts";
import {
  AutoencoderKL,
  type LoadOptions,
  UNet2DConditionModel,
  UNet2DModel,
} from "../../../src/models/mod.ts";
import { StableDiffusionPipeline } from "../../../src/pipelines/mod.ts";
import { tensor, zeros } from "../../../src/tensor/mod.ts";
import { Dice } from "../../support/dice.ts";
import { asGpu } from "../../support/engines.ts";
import { editedModel } from "../../support/edited_model.ts";
import { emoji } from "../../support/emoji.ts";
import { TestFolder } from "../../support/files.ts";
import { randomPair, tensorFile } from "../../support/lora_files.ts";
import { planted, refused, weightsOf } from "../../support/planted.ts";

const ddpm = join(import.meta.dirname!, "../../fixtures/ddpm/pipeline");

async function emojiUNet(
  options: LoadOptions = {},
  device: DeviceOptions = {},
): Promise<{ device: Device; unet: UNet2DConditionModel; run: () => Promise<unknown> } & Disposable> {
  using owned = new DisposableStack();
  const opened = owned.use(await openDevice({ check: "finite", ...device }));
  const unet = owned.use(
    await UNet2DConditionModel.fromPretrained(emoji, { dtype: "f32", subfolder: "unet", ...options }),
  );
  const { in_channels, cross_attention_dim } = unet.config;
  const width = cross_attention_dim as number;
  const run = async () =>
    await unet.forward(randn([1, in_channels, 8, 8]), 500, randn([1, 32, width])).sample.data();
  const own = owned.move();
  return { device: opened, unet, run, [Symbol.dispose]: () => own.dispose() };
}

for (const engine of ["dawn", "deno"] as const) {
  Deno.test(`a layer whose results leave f16 is named as an overflow of f16, and how far they go (${engine})`, async () => {
    using device = await openDevice({ engine, check: "finite" });
    if (!device.traits.f16) return;
    using unet = await UNet2DModel.fromPretrained(ddpm, { dtype: "f16", subfolder: "unet" });
    const run = () => unet.forward(randn([1, 3, 16, 16]), 500).sample.data();
    await run();
    const key = "mid_block.resnets.0.norm2.weight";
    const { node: { storage }, size } = new Map(weightsOf(unet)).get(key)!;
    const large = new Uint8Array(new Float16Array(size).fill(60000).buffer);
    device.gpu.queue.writeBuffer(storage!.buffer, storage!.offset, large);
    const report = await refused(run);
    assert.equal(report.cause.kind, "f16 overflow");
    assert.ok(report.cause.largest! > 65504 && report.cause.largest! < 1e7, `${report.cause.largest}`);
    assert.deepEqual([report.dtype, report.path, report.value], [
      "f16",
      "mid_block.resnets.0.norm2",
      Infinity,
    ]);
    assert.ok(report.inputs.every(({ nan, inf, negativeInf }) => nan + inf + negativeInf === 0));
    const weight = report.inputs.find(({ source }) => source === key)!;
    assert.deepEqual([weight.min, weight.max, weight.shape], [60000, 60000, [size]]);
    assert.match(report.message, /load the model with { dtype: "f32" }/);
  });

  Deno.test(`a weight that is streamed from the disk is named (${engine})`, async () => {
    using folder = new TestFolder();
    const key = "mid_block.resnets.1.conv1.weight";
    const path = await editedModel(join(ddpm, "unet"), folder.path, {
      weight: { key, element: 40, value: NaN },
    });
    using _device = await openDevice({ engine, check: "finite" });
    using unet = await UNet2DModel.fromPretrained(path, { stream: { chunk: 96 << 10 }, onNotice: () => {} });
    assert.ok(unet.isStreamed);
    const report = await refused(() => unet.forward(randn([1, 3, 16, 16]), 500).sample.data());
    assert.deepEqual([report.path, report.cause.kind], ["mid_block.resnets.1.conv1", "came in"]);
    const input = report.inputs.find(({ source }) => source === key)!;
    const [, C] = input.shape as [number, number];
    assert.deepEqual([input.nan, input.index], [1, [0, Math.floor(40 / 9) % C, 1, 1]]); // element 40 of [O, C, 3, 3]
  });
}

for (const quantize of ["int8", "int4"] as const) {
  Deno.test(`a scale of weights in ${quantize} that is NaN is found in its layer`, async () => {
    using work = await emojiUNet({ quantize, onNotice: () => {} });
    await work.run();
    const [key, weight] = weightsOf(work.unet).find(([key, { dtype }]) =>
      dtype === quantize && /mid_block/.test(key)
    )!;
    const { buffer, offset } = weight.node.storage!;
    const block = quantize === "int8" ? 68 : 36;
    const at = offset + 3 * block - 4; // both scales of the third block
    const word = new Uint8Array(await work.device.read(buffer, at, 4));
    work.device.gpu.queue.writeBuffer(buffer, at, Uint16Array.of(0x7e00, new Uint16Array(word.buffer)[1]!));
    const report = await refused(work.run);
    const input = report.inputs.find(({ source }) => source === key)!;
    assert.equal(report.cause.kind, "came in");
    const [, K] = weight.shape as [number, number];
    assert.deepEqual([input.dtype, input.nan, input.index], [quantize, 32, [Math.floor(128 / K), 128 % K]]);
    assert.ok(input.min < 0 && input.max > 0 && input.max < 10);
  });
}

Deno.test("on a GPU the weights that are joined are named where they are copied", async () => {
  using work = await emojiUNet();
  asGpu(work.device);
  work.unet.retrace();
  await work.run();
  const dice = new Dice(122);
  const weights = weightsOf(work.unet).filter(([key]) => /attn|ff|time_emb_proj|conv1/.test(key));
  for (let i = 0; i < 8; i++) {
    const [key, weight] = weights[dice.int(0, weights.length - 1)]!;
    const report = await refused(() => {
      work.unet.retrace(); // joined weights are kept
      return planted(weight, dice.int(0, weight.size - 1), NaN, work.run);
    }, key);
    assert.ok(report.cause.text.includes(`the weight "${key}"`), `${key}: ${report.cause.text}`);
  }
});

Deno.test("a LoRA that leaves f32 is named in the layer that it changes", async () => {
  using _device = await openDevice({ check: "finite" });
  using folder = new TestFolder();
  using pipeline = await StableDiffusionPipeline.fromPretrained(emoji, { dtype: "f32" });
  const layers = [...pipeline.parts.unet.adapters.layers];
  const [layer, shape] = layers.find(([layer]) => /mid_block.*attn1.to_q/.test(layer))!;
  const { down, up } = randomPair(shape, 4, new Dice(123));
  const large = { shape: up.shape, data: new Float32Array(up.data.length).fill(3e38) };
  const wide = { shape: down.shape, data: Float32Array.from(down.data, (x) => 1e6 * x) }; // the product itself leaves f32
  for (const [name, first, second] of [["good", down, up], ["bad", wide, large]] as const) {
    const pair = { [`unet.${layer}.lora_A.weight`]: first, [`unet.${layer}.lora_B.weight`]: second };
    await pipeline.loadLoraWeights(folder.write(`${name}.safetensors`, tensorFile(pair)), {
      adapterName: name,
    });
    const options = {
      prompt: "the sun",
      height: 16,
      width: 16,
      numInferenceSteps: 1,
      progress: false,
    } as const;
    if (name === "good") {
      await pipeline.run(options);
      continue;
    }
    const report = await refused(() => pipeline.run(options));
    assert.equal(report.model, "UNet2DConditionModel");
    assert.ok(layer.startsWith(report.path), report.path);
    assert.equal(report.cause.kind, "made here");
  }
});

Deno.test("a step of a pipeline that goes wrong ends it, and the stretch is named", async () => {
  using _device = await openDevice({ check: "finite" });
  using pipeline = await StableDiffusionPipeline.fromPretrained(emoji, { dtype: "f32" });
  const options = {
    prompt: "the sun",
    height: 16,
    width: 16,
    numInferenceSteps: 4,
    progress: false,
  } as const;
  await pipeline.run(options);
  let steps = 0;
  const report = await refused(() =>
    pipeline.run({
      ...options,
      onStep: (number, _t, sample) => {
        steps++;
        return number === 1 ? sample.div(zeros([1])) : sample;
      },
    })
  );
  assert.equal(steps, 2);
  assert.match(report.cause.text, /\/ 0 is -?inf/);
  assert.deepEqual([report.mark, report.turn], ["step", 7]); // the second of the second run: PNDM makes five of four
  assert.match(report.message, /in "step" \(stretch 7 of the device\)/);
  await (await pipeline.run(options)).images.data();
});

Deno.test("NaN in a picture that a model is given is told as such", async () => {
  using _device = await openDevice({ check: "finite" });
  const image = tensor(new Float32Array(3 * 256).fill(0.5).map((one, i) => i === 300 ? NaN : one), [
    1,
    3,
    16,
    16,
  ]);
  using vae = await AutoencoderKL.fromPretrained(emoji, { dtype: "f32", subfolder: "vae" });
  const report = await refused(() => vae.encode(image).latentDist.mean.data());
  assert.deepEqual([report.model, report.cause.kind], ["", "came in"]); // where it is copied for the model
  assert.match(report.cause.text, /a tensor of the script, which has 1 NaN, the first at \[0, 1, 2, 12\]/);
});
