import assert from "node:assert/strict";
import { openDevice } from "../../../../src/gpu/open/open.ts";
import { streamOf } from "../../../../src/graph/run/stream.ts";
import { loadLora, type LoraOptions, UNet2DConditionModel } from "../../../../src/models/mod.ts";
import { scope, tensor } from "../../../../src/tensor/mod.ts";
import { device } from "../../../support/device.ts";
import { TestFolder } from "../../../support/files.ts";
import { difference } from "../../../support/arrays.ts";
import { assertRelativelyClose } from "../../../support/close.ts";
import { Dice } from "../../../support/dice.ts";
import { emoji } from "../../../support/emoji.ts";
import { asGpu } from "../../../support/engines.ts";
import {
  type HostArray,
  type HostPair,
  randomPair,
  scalar,
  tensorFile,
} from "../../../support/lora_files.ts";
import { LoraUNet } from "../../../support/lora_unet.ts";

const bound = 1e-4; // one run of a network in f32 on a GPU
const f16Bound = 2e-2; // and of one whose weights and activations are rounded to f16

let small: LoraUNet;
Deno.test.beforeAll(async () => {
  small = await LoraUNet.of("base");
});

type Pairs = ReadonlyMap<string, HostPair>;

/** Hangs pairs on a model through a file as kohya writes it. */
let files: TestFolder; // an adapter is read again when weights come again
let loras = 0;
Deno.test.beforeAll(() => void (files = new TestFolder()));
Deno.test.afterAll(() => files[Symbol.dispose]());

async function hangUp(
  unet: UNet2DConditionModel,
  pairs: Pairs,
  { alpha, ...options }: LoraOptions & { alpha?: number } = {},
) {
  const tensors: Record<string, HostArray> = {};
  for (const [layer, { down, up }] of pairs) {
    const name = `lora_unet_${layer.replaceAll(".", "_")}`;
    tensors[`${name}.lora_down.weight`] = down;
    tensors[`${name}.lora_up.weight`] = up;
    if (alpha) tensors[`${name}.alpha`] = scalar(alpha);
  }
  return await loadLora(files.write(`lora${loras++}.safetensors`, tensorFile(tensors)), { unet }, options);
}

const data = (unet: UNet2DConditionModel, from = small) => from.run(unet).data();

/** What the model makes with pairs added to its weights. */
async function wanted(
  from: LoraUNet,
  ...adapters: { pairs: Pairs; factor: number }[]
) {
  using unet = await from.load({}, ...adapters);
  return await data(unet, from);
}

for (const name of ["base", "xl"]) {
  Deno.test(`a LoRA on every layer is as one that was added to the weights: ${name}`, async () => {
    const from = await LoraUNet.of(name);
    const pairs = from.pairs(from.layers(), 3, 1);
    using unet = await from.load();
    const { matched, unmatched, ranks, alphas, alphaSources } = await hangUp(unet, pairs, {
      alpha: 1.5,
      scale: 0.8,
    });
    assert.deepEqual(unmatched, []);
    assert.equal(matched.length, pairs.size);
    assert.deepEqual([ranks, alphas, alphaSources], [[3], [1.5], ["tensor"]]);
    const want = await wanted(from, { pairs, factor: 0.8 * 0.5 });
    assertRelativelyClose(await data(unet, from), want, bound, "out");
  });
}

Deno.test("a LoRA may change the same layers where several products of a GPU are one", async () => {
  const layers = async () => {
    using unet = await UNet2DConditionModel.fromPretrained(emoji, { subfolder: "unet", defer: true });
    return unet.adapters.layers;
  };
  const apart = await layers();
  using gpu = await openDevice();
  asGpu(gpu);
  assert.deepEqual(await layers(), apart);
  assert.ok(apart.size > 50);
});

Deno.test("two adapters add up, and cost the dispatches of one", async () => {
  const layers = small.layers(/attn/);
  const [one, two] = [small.pairs(layers, 3, 1), small.pairs(layers, 5, 2)];
  using unet = await small.load();
  const dispatches = async () => {
    unet.retrace();
    await data(unet);
    return streamOf(device).statistics.dispatches;
  };
  const without = await dispatches();
  await hangUp(unet, one, { adapterName: "one", scale: 0.5 });
  const withOne = await dispatches();
  assert.ok(withOne > without);
  await hangUp(unet, two, { adapterName: "two", scale: 0.25 });
  assert.equal(await dispatches(), withOne);
  assert.deepEqual(unet.adapters.scales, { one: 0.5, two: 0.25 });
  const want = await wanted(small, { pairs: one, factor: 0.5 }, { pairs: two, factor: 0.25 });
  assertRelativelyClose(await data(unet), want, bound, "both");

  await unet.adapters.remove("one");
  assertRelativelyClose(
    await data(unet),
    await wanted(small, { pairs: two, factor: 0.25 }),
    bound,
    "the second",
  );
});

Deno.test("a scale changes what was computed once for a prompt too, and neither traces nor compiles", async () => {
  const pairs = small.pairs(small.layers(/attn2\.to_[kv]/), 2, 7);
  using unet = await small.load();
  await hangUp(unet, pairs, { adapterName: "style" });
  await data(unet);
  await data(unet); // the prompt's keys and values are kept from now on
  const kept = await data(unet);
  const graphs = () => device.dump().match(/%\d+ = /g)!.join(); // ids tell traces from each other
  const before = graphs();
  unet.adapters.set({ style: 0.3 });
  const changed = await data(unet);
  assert.equal(graphs(), before);
  assertRelativelyClose(changed, await wanted(small, { pairs, factor: 0.3 }), bound, "changed");
  unet.adapters.set({ style: 1 });
  assert.deepEqual(await data(unet), kept);
});

Deno.test("a call takes the scales that were set when it was recorded", async () => {
  const pairs = small.pairs(small.layers(/attn1/), 2, 9);
  using unet = await small.load();
  await hangUp(unet, pairs, { adapterName: "style" });
  const full = small.run(unet);
  unet.adapters.set({ style: 0.5 });
  const half = small.run(unet);
  unet.adapters.set({});
  assertRelativelyClose(await half.data(), await wanted(small, { pairs, factor: 0.5 }), bound, "half");
  assertRelativelyClose(await full.data(), await wanted(small, { pairs, factor: 1 }), bound, "full");
});

Deno.test("at scale 0, and with all adapters gone, a model computes to the bit what it did without", async () => {
  for (const dtype of device.traits.f16 ? ["f32", "f16"] as const : ["f32"] as const) {
    using unet = await small.load({ dtype });
    const plain = await data(unet);
    const count = streamOf(device).statistics.dispatches;
    const layers = small.layers(dtype === "f32" ? /./ : /attn|conv_out/);
    await hangUp(unet, small.pairs(layers, 3, 4), { adapterName: "a" });
    await hangUp(unet, small.pairs(layers, 2, 5), { adapterName: "b" });
    assert.notDeepEqual(await data(unet), plain);
    const memory = device.buffers.usage().bytes;
    unet.adapters.set({});
    const atZero = await data(unet);
    // Where products are joined, layers with adapters compute theirs apart, by kernels that sum in another order.
    if (device.traits.joins) assertRelativelyClose(atZero, plain, dtype === "f32" ? bound : f16Bound, dtype);
    else assert.deepEqual(atZero, plain);
    await unet.adapters.remove();
    assert.deepEqual(await data(unet), plain);
    assert.equal(streamOf(device).statistics.dispatches, count);
    assert.ok(device.buffers.usage().bytes < memory);
  }
});

Deno.test("adapters stay while the weights leave memory, and hang on models whose weights are to come", async () => {
  const pairs = small.pairs(small.layers(/ff\.|conv/), 2, 6);
  using unet = await small.load({ defer: true });
  await hangUp(unet, pairs);
  assert.equal(unet.loaded, false);
  await unet.load();
  const want = await wanted(small, { pairs, factor: 1 });
  assertRelativelyClose(await data(unet), want, bound, "loaded");
  unet.unload();
  await unet.load();
  assertRelativelyClose(await data(unet), want, bound, "loaded again");
});

Deno.test("a baked adapter is part of the weights for good, also of those that are loaded again", async () => {
  const [one, two] = [small.pairs(small.layers(), 3, 1), small.pairs(small.layers(/attn/), 2, 2)];
  using unet = await small.load({ defer: true });
  await unet.load();
  await data(unet);
  const count = streamOf(device).statistics.dispatches;
  await hangUp(unet, one, { adapterName: "one", scale: 0.5 });
  await hangUp(unet, two, { adapterName: "two", scale: -0.25 });
  await unet.adapters.bake();
  assert.deepEqual([unet.adapters.scales, unet.adapters.baked], [{}, ["one", "two"]]);
  const want = await wanted(small, { pairs: one, factor: 0.5 }, { pairs: two, factor: -0.25 });
  assertRelativelyClose(await data(unet), want, bound, "baked");
  assert.equal(streamOf(device).statistics.dispatches, count);
  unet.unload();
  await unet.load();
  assertRelativelyClose(await data(unet), want, bound, "loaded again");

  const message =
    'Cannot change adapter "one": it was baked into the weights; load the model again to be without it';
  await assert.rejects(unet.adapters.remove(), { message });
  assert.throws(() => unet.adapters.set({ one: 1 }), { message });
  await assert.rejects(hangUp(unet, two, { adapterName: "one" }), /there is one of that name/);
});

Deno.test("weights that are not in memory are not baked into", async () => {
  using unet = await small.load({ defer: true });
  await hangUp(unet, small.pairs(["conv_in"], 1, 1));
  await assert.rejects(unet.adapters.bake(), {
    message: "Cannot bake adapters: expected weights in memory, got none; await the model's load() first",
  });
});

Deno.test("adapters take memory only while the weights do, and are counted", async () => {
  using unet = await small.load({ defer: true });
  const before = device.buffers.usage().bytes;
  const pairs = small.pairs(small.layers(/ff\.|attn/), 4, 3);
  await hangUp(unet, pairs, { adapterName: "one" });
  const bytes = [...pairs.values()].reduce(
    (sum, { down, up }) => sum + 4 * (down.data.length + up.data.length),
    0,
  );
  assert.equal(unet.adapters.bytes, bytes);
  await device.idle();
  assert.ok(device.buffers.usage().bytes < before + bytes);
  await unet.load();
  const loaded = device.buffers.usage().bytes;
  unet.unload();
  unet.adapters.set({ one: 0.5 });
  await device.idle();
  const freed = loaded - device.buffers.usage().bytes;
  assert.ok(freed >= unet.bytes + bytes, `${freed} of ${unet.bytes} and ${bytes}`);
  await unet.load();
  const want = await wanted(small, { pairs, factor: 0.5 });
  assertRelativelyClose(await data(unet), want, bound, "loaded again");
  unet.unload();
  await unet.adapters.remove("one");
  await unet.load();
  assert.equal(unet.adapters.bytes, 0);
  assertRelativelyClose(await data(unet), await wanted(small), bound, "without");
});

Deno.test("adapters hang on weights that are streamed from the disk, and are not baked into them", async () => {
  const pairs = small.pairs(small.layers(/ff\.|conv|attn/), 2, 6);
  using unet = await small.load({ stream: { chunk: 1 << 12 } });
  await hangUp(unet, pairs, { adapterName: "style" });
  assertRelativelyClose(await data(unet), await wanted(small, { pairs, factor: 1 }), bound, "out");
  await assert.rejects(
    unet.adapters.bake(),
    /^Error: Cannot merge an adapter into ".*": expected a weight in memory, got one that is streamed from the disk/,
  );
  await unet.adapters.remove();
  assert.deepEqual(await data(unet), await wanted(small));
});

Deno.test("adapters hang on quantized weights, and are baked into them in as few bits", async () => {
  const load = (quantize?: "int8") =>
    UNet2DConditionModel.fromPretrained(emoji, { subfolder: "unet", dtype: "f32", quantize });
  using plain = await load();
  using packed = await load("int8");
  assert.ok(packed.bytes < plain.bytes);
  const dice = new Dice(12);
  const { in_channels, cross_attention_dim } = plain.config;
  const sample = tensor(dice.numbers(in_channels * 64), [1, in_channels, 8, 8]);
  const prompts = tensor(dice.numbers(5 * cross_attention_dim), [1, 5, cross_attention_dim]);
  const run = (unet: UNet2DConditionModel) => unet.forward(sample, 500, prompts).sample.data();
  const without = await run(plain);
  const pairs = new Map(
    [...plain.adapters.layers].filter(([layer]) => /^mid_block.*ff/.test(layer))
      .map(([layer, shape]) => [layer, randomPair(shape, 4, dice)]),
  );
  assert.equal(pairs.size, 2);
  await hangUp(plain, pairs, { scale: 4 });
  await hangUp(packed, pairs, { scale: 4 });
  const want = await run(plain);
  assert.ok(difference(without, want).rel > 0.1);
  assertRelativelyClose(await run(packed), want, 1e-2, "out");
  await packed.adapters.bake();
  assertRelativelyClose(await run(packed), want, 1e-2, "baked");
});

Deno.test("adapters outlive the scope that they were hung up in", async () => {
  const pairs = small.pairs(small.layers(/attn1/), 2, 3);
  using unet = await small.load();
  {
    using _scope = scope();
    await hangUp(unet, pairs, { adapterName: "a" });
    await hangUp(unet, pairs, { adapterName: "b" });
    unet.adapters.set({ a: 0.5, b: 0.25 });
    await data(unet);
  }
  assertRelativelyClose(await data(unet), await wanted(small, { pairs, factor: 0.75 }), bound, "out");
});

Deno.test("adapters on weights in f16 work in f16", async () => {
  if (!device.traits.f16) return;
  const pairs = small.pairs(small.layers(/attn|ff/), 4, 8);
  using unet = await small.load({ dtype: "f16" });
  await hangUp(unet, pairs, { scale: 0.5 });
  assertRelativelyClose(await data(unet), await wanted(small, { pairs, factor: 0.5 }), f16Bound, "out");
});

Deno.test("LoRAs that are loaded at once have names of their own, and both hang", async () => {
  const [one, two] = [small.pairs(["conv_in"], 2, 1), small.pairs(["conv_out"], 2, 2)];
  using unet = await small.load();
  const reports = await Promise.all([hangUp(unet, one), hangUp(unet, two)]);
  assert.deepEqual(reports.map(({ adapterName }) => adapterName).sort(), ["default_0", "default_1"]);
  const want = await wanted(small, { pairs: one, factor: 1 }, { pairs: two, factor: 1 });
  assertRelativelyClose(await data(unet), want, bound, "out");
});

Deno.test("a disposed model gives the memory of its adapters back", async () => {
  const { bytes } = device.buffers.usage();
  {
    using unet = await small.load();
    await hangUp(unet, small.pairs(small.layers(), 3, 4));
    await hangUp(unet, small.pairs(small.layers(), 3, 5));
    await unet.adapters.bake();
    await hangUp(unet, small.pairs(small.layers(/attn/), 3, 6));
  }
  await streamOf(device).flush();
  const left = device.buffers.usage().bytes - bytes;
  assert.ok(left < 65536 + 4096, `${left} bytes are left`); // scales are left to the garbage collector
});

Deno.test("a model that is disposed while its adapters are read gives their memory back", async () => {
  const { bytes } = device.buffers.usage();
  const unet = await small.load({ defer: true });
  let onProgress = () => {};
  for (const seed of [4, 5]) {
    await hangUp(unet, small.pairs(small.layers(), 32, seed), { onProgress: () => onProgress() });
  }
  onProgress = () => unet[Symbol.dispose]();
  await assert.rejects(unet.load(), { message: /it was disposed; load it again$/ });
  await streamOf(device).flush();
  const left = device.buffers.usage().bytes - bytes;
  assert.ok(left < 65536 + 4096, `${left} bytes are left`);
});

Deno.test("loadLora() tells what is wrong with its arguments, and leaves the model as it was", async () => {
  using unet = await small.load();
  const plain = await data(unet);
  const pairs = small.pairs(["conv_in", "mid_block.attentions.0.proj_in"], 2, 3);
  await hangUp(unet, pairs, { adapterName: "style" });
  await assert.rejects(hangUp(unet, pairs, { adapterName: "style" }), {
    message: 'Cannot load a LoRA as "style": there is one of that name; choose another adapterName',
  });
  await assert.rejects(hangUp(unet, pairs, { scale: NaN }), {
    message: "Cannot set an adapter's scale to NaN: expected a finite number",
  });
  assert.throws(() => unet.adapters.set({ styl: 1 }), {
    message: 'Cannot find adapter "styl": nearest is "style"',
  });
  assert.throws(() => unet.adapters.set({ style: Infinity }), /expected a finite number/);
  await assert.rejects(
    unet.adapters.remove("other"),
    /^Error: Cannot find adapter "other": nearest is "style"/,
  );
  await assert.rejects(
    loadLora("a.safetensors", {}),
    /^Error: Cannot load a LoRA: expected a model to hang it on/,
  );
  const broken = new Map(pairs);
  const { down, up } = pairs.get("conv_in")!;
  broken.set("conv_in", { down: { ...down, data: Float32Array.from(down.data, () => NaN) }, up });
  await assert.rejects(
    hangUp(unet, broken),
    /Cannot load LoRA default_0: 1 tensors hold NaN or infinity, e\.g\. "lora_unet_conv_in\.lora_down\.weight"/,
  );
  await unet.adapters.remove("style");
  assert.deepEqual(await data(unet), plain);
});

Deno.test("loadLora() warns of names that are of no layer, and refuses a file that has no others", async () => {
  using unet = await small.load();
  using folder = new TestFolder();
  const { down, up } = small.pairs(["conv_in"], 2, 3).get("conv_in")!;
  const stray = { "lora_te_x.lora_down.weight": down, "lora_te_x.lora_up.weight": up };
  const path = folder.write(
    "some.safetensors",
    tensorFile({ "unet.conv_in.lora_A.weight": down, "unet.conv_in.lora_B.weight": up, ...stray }),
  );
  const notices: string[] = [];
  const report = await loadLora(path, { unet }, { onNotice: (line) => notices.push(line) });
  assert.deepEqual(report, {
    adapterName: "default_0",
    format: "kohya",
    kinds: ["LoRA"],
    ranks: [2],
    alphas: [2],
    alphaSources: ["rank"],
    matched: ["unet.conv_in"],
    unmatched: ["lora_te_x"],
  });
  assert.deepEqual(notices, [`${path}: not used, as no layer has these names: lora_te_x`]);
  const beside = { "unet.conv_in.odd": up };
  const more = folder.write(
    "more.safetensors",
    tensorFile({ "unet.conv_in.lora_A.weight": down, "unet.conv_in.lora_B.weight": up, ...beside }),
  );
  notices.length = 0;
  const { unmatched } = await loadLora(more, { unet }, { onNotice: (line) => notices.push(line) });
  assert.deepEqual(unmatched, ["unet.conv_in.odd"]);
  assert.deepEqual(notices, [
    `${more}: not used, as they are of no kind that is known: unet.conv_in.odd`, // of a layer that is there
  ]);
  const none = folder.write("none.safetensors", tensorFile(stray));
  await assert.rejects(loadLora(none, { unet }), {
    message: `Cannot use ${none}: expected names of layers of unet, got 1 others, e.g. "lora_te_x"; ` +
      "it is of another model, or no LoRA",
  });
  const empty = folder.write("empty.safetensors", tensorFile({}));
  await assert.rejects(loadLora(empty, { unet }), /: expected a LoRA, got no tensors/);
});
