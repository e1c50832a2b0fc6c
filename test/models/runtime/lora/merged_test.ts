import assert from "node:assert/strict";
import {
  CLIPTextModel,
  FluxTransformer2DModel,
  loadLora,
  type LoraModels,
  UNet2DConditionModel,
} from "../../../../src/models/mod.ts";
import { tensor } from "../../../../src/tensor/mod.ts";
import { inputsOf } from "../../../conformance/flux_transformer.ts";
import { difference, type HostTensor, readTensors } from "../../../support/arrays.ts";
import { assertRelativelyClose } from "../../../support/close.ts";
import { device } from "../../../support/device.ts";
import { Dice } from "../../../support/dice.ts";
import { emoji } from "../../../support/emoji.ts";
import { TestFolder } from "../../../support/files.ts";
import { fixture } from "../../../support/fixtures.ts";
import { type HostArray, merged, tensorFile } from "../../../support/lora_files.ts";
import { LoraUNet } from "../../../support/lora_unet.ts";

const bound = 1e-4; // one run of a network in f32 on a GPU
const Q = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"; // [6, 6]

let small: LoraUNet;
let files: TestFolder;
let adapters = 0;
Deno.test.beforeAll(async () => {
  small = await LoraUNet.of("base");
  files = new TestFolder();
});
Deno.test.afterAll(() => files[Symbol.dispose]());

type Tensors = Record<string, HostArray>;

function adapterOf(tensors: Tensors): string {
  return files.write(`adapter${adapters++}.safetensors`, tensorFile(tensors));
}

async function hangUp(models: LoraModels, tensors: Tensors, adapterName: string, scale = 1) {
  const onNotice = (line: string) => assert.fail(line);
  return await loadLora(adapterOf(tensors), models, { adapterName, scale, onNotice });
}

const data = (unet: UNet2DConditionModel) => small.run(unet).data();

/** What the model computes with other weights. */
async function wanted(tensors: Tensors): Promise<ArrayLike<number>> {
  using unet = await small.with({ ...Object.fromEntries(small.weights), ...tensors });
  return await data(unet);
}

function random(shape: readonly number[], seed: number, size = 0.5): HostArray {
  const count = shape.reduce((a, b) => a * b, 1);
  return { shape, data: new Dice(seed).numbers(count, size) };
}

function sum(a: HostArray, b: HostArray, factor = 1): HostArray {
  return { shape: a.shape, data: Float64Array.from(a.data, (x, i) => x + factor * b.data[i]!) };
}

/** Rows of lengths given by magnitudes. */
function scaled({ shape, data }: HostArray, magnitudes: HostArray): HostArray {
  const K = data.length / shape[0]!;
  const values = Float64Array.from(data);
  for (const [row, magnitude] of Array.from(magnitudes.data).entries()) {
    const own = values.subarray(row * K, (row + 1) * K);
    const length = Math.hypot(...own);
    own.forEach((x, i) => own[i] = x * magnitude / length);
  }
  return { shape, data: values };
}

Deno.test("adapters of several kinds change one layer in the order in which they were loaded", async () => {
  const weight = small.weights.get(`${Q}.weight`)!;
  const diff = random(weight.shape, 1);
  const pairs = small.pairs([Q], 2, 2);
  const { down, up } = pairs.get(Q)!;
  const magnitudes = random([6, 1], 3);
  const dora = {
    [`unet.${Q}.lora_A.weight`]: down,
    [`unet.${Q}.lora_B.weight`]: up,
    [`unet.${Q}.dora_scale`]: magnitudes,
  };
  const plain = { [`unet.${Q}.lora_A.weight`]: down, [`unet.${Q}.lora_B.weight`]: up };
  using unet = await small.load();
  const before = await data(unet);
  await hangUp({ unet }, plain, "lora", 0.3); // a product: it comes after all that is merged
  await hangUp({ unet }, { [`unet.${Q}.diff`]: diff }, "full", 0.5);
  await hangUp({ unet }, dora, "dora");
  const doraOf = (w: HostArray) => scaled(merged(w, { down, up }, 1), magnitudes);
  const [first, then] = [doraOf(sum(weight, diff, 0.5)), sum(doraOf(weight), diff, 0.5)];
  const withPair = (w: HostArray) => wanted({ [`${Q}.weight`]: merged(w, { down, up }, 0.3) });
  assertRelativelyClose(await data(unet), await withPair(first), bound, "in order");
  await unet.adapters.remove("full");
  await hangUp({ unet }, { [`unet.${Q}.diff`]: diff }, "full", 0.5);
  assertRelativelyClose(await data(unet), await withPair(then), bound, "in the other order");
  assert.deepEqual(unet.adapters.scales, { lora: 0.3, dora: 1, full: 0.5 });

  await unet.adapters.bake();
  assertRelativelyClose(await data(unet), await withPair(then), bound, "baked");
  await hangUp({ unet }, { [`unet.${Q}.diff`]: diff }, "more");
  const more = sum(merged(then, { down, up }, 0.3), diff);
  assertRelativelyClose(await data(unet), await wanted({ [`${Q}.weight`]: more }), bound, "on what is baked");
  await unet.adapters.remove("more");
  assertRelativelyClose(await data(unet), await withPair(then), bound, "what was baked stays");
  assert.notDeepEqual(await data(unet), before);
});

Deno.test("merged adapters come again with the weights, and weights in f16 are rounded once", async () => {
  const diff = random(small.weights.get("conv_in.weight")!.shape, 4);
  const bias = random([4], 5);
  const tensors = { "lora_unet_conv_in.diff": diff, "lora_unet_conv_in.diff_b": bias };
  const want = await wanted({
    "conv_in.weight": sum(small.weights.get("conv_in.weight")!, diff),
    "conv_in.bias": sum(small.weights.get("conv_in.bias")!, bias),
  });
  using unet = await small.load({ defer: true });
  await hangUp({ unet }, tensors, "full");
  await unet.load();
  assertRelativelyClose(await data(unet), want, bound, "loaded");
  unet.unload();
  await unet.load();
  assertRelativelyClose(await data(unet), want, bound, "loaded again");
  unet.unload();
  await unet.adapters.remove();
  await unet.load();
  assert.deepEqual(await data(unet), await wanted({}));
  if (!device.traits.f16) return;
  using half = await small.load({ dtype: "f16" });
  await hangUp({ unet: half }, tensors, "full");
  assertRelativelyClose(await data(half), want, 2e-2, "f16");
});

for (const quantize of ["int8", "int4"] as const) {
  Deno.test(`weights in ${quantize} are changed, packed again, and given back to the bit`, async () => {
    const load = (quantize?: "int8" | "int4") =>
      UNet2DConditionModel.fromPretrained(emoji, {
        subfolder: "unet",
        dtype: "f32",
        quantize,
        onNotice: () => {},
      });
    using whole = await load();
    using packed = await load(quantize);
    const dice = new Dice(12);
    const { in_channels, cross_attention_dim } = whole.config;
    const sample = tensor(dice.numbers(in_channels * 64), [1, in_channels, 8, 8]);
    const prompts = tensor(dice.numbers(5 * cross_attention_dim), [1, 5, cross_attention_dim]);
    const run = (unet: UNet2DConditionModel) => unet.forward(sample, 500, prompts).sample.data();
    const [[layer, shape]] = [...whole.adapters.layers].filter(([layer]) =>
      /^mid_block.*ff.net.2/.test(layer)
    ) as [[string, number[]]];
    const [plain, before] = [await run(whole), await run(packed)];
    const tensors = { [`unet.${layer}.diff`]: random(shape, 6, 0.3) };
    for (const unet of [whole, packed]) await hangUp({ unet }, tensors, "full");
    const want = await run(whole);
    const change = difference(plain, want).rel;
    assert.ok(change > 0.05);
    const rounding = difference(before, plain).rel;
    assertRelativelyClose(await run(packed), want, 2 * rounding + 1e-2, "packed");
    await packed.adapters.remove();
    assert.deepEqual(await run(packed), before);
  });
}

Deno.test("what cannot be merged is refused in one line, and the model is as it was", async () => {
  const shape = small.weights.get("conv_in.weight")!.shape;
  using unet = await small.load();
  const plain = await data(unet);
  const nan = { shape, data: new Float32Array(4 * 4 * 9).fill(NaN) };
  await assert.rejects(
    hangUp({ unet }, { "unet.conv_in.diff": nan, [`unet.${Q}.diff`]: random([6, 6], 1) }, "full"),
    /^RangeError: Cannot load LoRA full: 1 tensors hold NaN or infinity, e\.g\. "unet\.conv_in\.diff"/,
  );
  await assert.rejects(
    hangUp({ unet }, { "unet.conv_in.diff": random([4, 4, 3], 1) }, "full"),
    /^RangeError: Cannot load .*: expected the difference "unet\.conv_in" to be of \[4, 36\] for weight of the layer/,
  );
  assert.deepEqual(unet.adapters.scales, {});
  assert.deepEqual(await data(unet), plain);
  using streamed = await small.load({ stream: { chunk: 1 << 12 } });
  await assert.rejects(
    hangUp({ unet: streamed }, { "unet.conv_in.diff": random(shape, 1) }, "full"),
    /^Error: Cannot merge an adapter into "conv_in\.weight": expected a weight in memory, got one that is streamed/,
  );
  assert.deepEqual(await data(streamed), plain);
});

Deno.test("a scale that could not be merged is merged when it is set again", async () => {
  using folder = new TestFolder();
  const weight = small.weights.get("conv_in.weight")!;
  const diff = random(weight.shape, 4);
  const path = folder.write("full.safetensors", tensorFile({ "unet.conv_in.diff": diff }));
  using unet = await small.load();
  await loadLora(path, { unet }, { adapterName: "full" });
  Deno.renameSync(path, `${path}.away`);
  await assert.rejects(unet.adapters.set({ full: 0.5 }), /full\.safetensors/);
  Deno.renameSync(`${path}.away`, path);
  await unet.adapters.set({ full: 0.5 });
  const want = await wanted({ "conv_in.weight": sum(weight, diff, 0.5) });
  assertRelativelyClose(await data(unet), want, bound, "out");
});

Deno.test("a model does not run while its weights are being changed", async () => {
  using unet = await small.load();
  await hangUp(
    { unet },
    { "unet.conv_in.diff": random(small.weights.get("conv_in.weight")!.shape, 4) },
    "full",
  );
  const full = await data(unet);
  const change = unet.adapters.set({ full: 0.5 });
  await Promise.resolve();
  let refused = "";
  try {
    for (let turn = 0; turn < 50; turn++) {
      await Promise.resolve();
      small.run(unet);
    }
  } catch (error) {
    refused = (error as Error).message;
  }
  assert.equal(
    refused,
    "Cannot run UNet2DConditionModel: adapters are being merged into its weights; await what sets, loads or removes them",
  );
  await change;
  await unet.adapters.set({ full: 1 });
  assert.deepEqual(await data(unet), full);
});

Deno.test("changes of FLUX's fused matrices go to the rows of their layers", async () => {
  const path = fixture("flux/pipeline/transformer");
  using transformer = await FluxTransformer2DModel.fromPretrained(path, { dtype: "f32", onNotice: () => {} });
  const inputs = inputsOf(await readTensors(fixture("flux/expected/transformer.safetensors")), true);
  const { hiddenStates, tokens, conditions, timestep } = inputs;
  const run = () => transformer.forward(hiddenStates, { ...tokens, ...conditions, timestep }).sample.data();
  const plain = await run();
  const weights = new Map<string, HostTensor>();
  for (const { name } of Deno.readDirSync(path)) {
    if (!name.endsWith(".safetensors")) continue;
    for (const [key, value] of await readTensors(`${path}/${name}`)) weights.set(key, value);
  }
  const attention = "transformer_blocks.0.attn";
  const parts = ["to_q", "to_k", "to_v"].map((part) => weights.get(`${attention}.${part}.weight`)!);
  const [D, K] = parts[0]!.shape as [number, number];
  const rows = { shape: [3 * D, K], data: parts.flatMap(({ data }) => [...data]) };
  const pair = { down: random([2, K], 1), up: random([3 * D, 2], 2) };
  const magnitudes = random([3 * D, 1], 3, 1);
  const changed = scaled(merged(rows, pair, 1), magnitudes);
  const swapped = weights.get("norm_out.linear.weight")!;
  const diff = random(swapped.shape, 4);
  const half = swapped.data.length / 2;
  const fused = "lora_unet_double_blocks_0_img_attn_qkv";
  await hangUp({ transformer }, {
    [`${fused}.lora_down.weight`]: pair.down,
    [`${fused}.lora_up.weight`]: pair.up,
    [`${fused}.dora_scale`]: magnitudes,
    "lora_unet_final_layer_adaLN_modulation_1.diff": diff,
  }, "fused");
  const out = await run();
  assert.ok(difference(plain, out).rel > 1e-2);
  await transformer.adapters.remove();
  const slices = ["to_q", "to_k", "to_v"].map((part, i) => [
    `transformer.${attention}.${part}.set_weight`,
    { shape: [D, K], data: Array.from(changed.data).slice(i * D * K, (i + 1) * D * K) },
  ]);
  const turned = {
    shape: diff.shape,
    data: [...Array.from(diff.data).slice(half), ...Array.from(diff.data).slice(0, half)],
  };
  await hangUp({ transformer }, {
    ...Object.fromEntries(slices),
    "transformer.norm_out.linear.diff": turned,
  }, "apart");
  assertRelativelyClose(out, await run(), bound, "out");
  await transformer.adapters.remove();
  assert.deepEqual(await run(), plain);
});

Deno.test("norms, biases and matrices of CLIP are changed", async () => {
  using textEncoder = await CLIPTextModel.fromPretrained(fixture("flux/pipeline/text_encoder"), {
    dtype: "f32",
    onNotice: () => {},
  });
  const ids = [[5, 320, 7]];
  const run = () => textEncoder.forward(ids).lastHiddenState.data();
  const plain = await run();
  const { tensors } = textEncoder.adapters.targets;
  const of = (key: string, seed: number) => random(tensors.get(key)!, seed);
  const layer = "encoder.layers.1";
  const flat = `lora_te1_text_model_encoder_layers_1`;
  const norm = of(`${layer}.layer_norm1.weight`, 1);
  const { matched } = await hangUp({ textEncoder }, {
    [`${flat}_layer_norm1.w_norm`]: norm,
    [`${flat}_layer_norm1.b_norm`]: of(`${layer}.layer_norm1.bias`, 2),
    [`${flat}_mlp_fc1.diff`]: of(`${layer}.mlp.fc1.weight`, 3),
    [`${flat}_mlp_fc1.diff_b`]: of(`${layer}.mlp.fc1.bias`, 4),
  }, "full");
  assert.deepEqual(matched, [`text_encoder.${layer}.layer_norm1`, `text_encoder.${layer}.mlp.fc1`]);
  assert.ok(difference(plain, await run()).rel > 1e-2);
  await textEncoder.adapters.remove();
  assert.deepEqual(await run(), plain);
});

Deno.test("an adapter may have a scale for each part of a model, merged or not", async () => {
  const layers = ["conv_in", "mid_block.resnets.0.conv1", "mid_block.resnets.1.conv1"];
  const pairs = small.pairs(layers, 2, 7);
  const products = Object.fromEntries([...pairs].flatMap(([layer, { down, up }]) => [
    [`unet.${layer}.lora_A.weight`, down],
    [`unet.${layer}.lora_B.weight`, up],
  ]));
  const weight = (layer: string) => small.weights.get(`${layer}.weight`)!;
  const diff = random(weight(layers[2]!).shape, 9);
  using unet = await small.load();
  await hangUp({ unet }, { ...products, [`unet.${layers[2]}.diff`]: diff }, "style");
  await unet.adapters.set({ style: { "mid_block": 0.25, "mid_block.resnets.1": -0.5 } });
  const [first, middle, last] = layers.map((layer, i) =>
    merged(weight(layer), pairs.get(layer)!, [1, 0.25, -0.5][i]!)
  );
  const want = await wanted({
    [`${layers[0]}.weight`]: first!,
    [`${layers[1]}.weight`]: middle!,
    [`${layers[2]}.weight`]: sum(last!, diff, -0.5),
  });
  assertRelativelyClose(await data(unet), want, bound, "out");
  assert.throws(() => unet.adapters.set({ style: { "up_block": 1 } }), {
    message:
      'Cannot set adapter "style" in "up_block": the model has no layer whose name begins so; nearest is "up_blocks"',
  });
  assert.throws(() => unet.adapters.set({ style: { "conv_in": NaN } }), /expected a finite number/);
});
