import assert from "node:assert/strict";
import { manualSeed } from "../../src/mod.ts";
import {
  DiffusionPipeline,
  StableDiffusionImg2ImgPipeline,
  StableDiffusionPipeline,
} from "../../src/pipelines/mod.ts";
import "../support/device.ts";
import { TestFolder } from "../support/files.ts";
import { Dice } from "../support/dice.ts";
import { emoji, flower } from "../support/emoji.ts";
import { randomPair, tensorFile } from "../support/lora_files.ts";

let pipeline: StableDiffusionPipeline;
let folder: TestFolder;
Deno.test.beforeAll(async () => {
  pipeline = await load();
  folder = new TestFolder();
  for (const [name, seed] of [["style", 1], ["flowers", 2]] as const) {
    Deno.mkdirSync(`${folder.path}/${name}`);
    folder.write(`${name}/${name}.safetensors`, loraFile(seed));
  }
});
Deno.test.afterAll(() => {
  folder[Symbol.dispose]();
  pipeline[Symbol.dispose]();
});

async function load(): Promise<StableDiffusionPipeline> {
  const loaded = await DiffusionPipeline.fromPretrained(emoji, { dtype: "f32" });
  assert.ok(loaded instanceof StableDiffusionPipeline);
  return loaded;
}

/** A LoRA on some attention of the UNet and the text encoder. */
function loraFile(seed: number): Uint8Array {
  const dice = new Dice(seed);
  const tensors = (["unet", "textEncoder"] as const).flatMap((part) => {
    const component = part === "unet" ? "unet" : "text_encoder.text_model";
    const layers = [...pipeline.parts[part].adapters.layers].filter(([layer]) => /attn.*[qv]/.test(layer));
    return layers.slice(0, 4).flatMap(([layer, shape]) => {
      const { down, up } = randomPair(shape, 4, dice);
      return [[`${component}.${layer}.lora_A.weight`, down], [
        `${component}.${layer}.lora_B.weight`,
        up,
      ]] as const;
    });
  });
  return tensorFile(Object.fromEntries(tensors));
}

async function draw(from = pipeline): Promise<ArrayLike<number>> {
  return await (await from.run({ ...flower, generator: manualSeed(0) })).latents.data();
}

Deno.test("a pipeline draws with LoRAs on its UNet and text encoder, at any scales, and without them as before", async () => {
  const plain = await draw();
  const report = await pipeline.loadLoraWeights(`${folder.path}/style`, { adapterName: "style" });
  assert.deepEqual([report.format, report.matched.length, report.unmatched.length], ["peft", 8, 0]);
  assert.ok(report.matched.some((layer) => layer.startsWith("unet.")));
  assert.ok(report.matched.some((layer) => layer.startsWith("text_encoder.")));
  const style = await draw();
  assert.notDeepEqual(style, plain);

  await pipeline.loadLoraWeights(`${folder.path}/flowers/flowers.safetensors`, {
    adapterName: "flowers",
    scale: 0.5,
  });
  assert.deepEqual(pipeline.adapters, { style: 1, flowers: 0.5 });
  const both = await draw();
  assert.notDeepEqual(both, style);
  pipeline.setAdapters("style");
  assert.deepEqual(pipeline.adapters, { style: 1, flowers: 0 });
  pipeline.setAdapters(["style", "flowers"], [1, 0.5]);
  assert.deepEqual(await draw(), both);
  const img2img = new StableDiffusionImg2ImgPipeline(pipeline.parts);
  assert.deepEqual(img2img.adapters, pipeline.adapters); // they hang on the models

  await pipeline.unloadLora("flowers");
  assert.deepEqual(pipeline.adapters, { style: 1 });
  assert.deepEqual(await draw(), style);
  await pipeline.unloadLora();
  assert.deepEqual(pipeline.adapters, {});
  assert.deepEqual(await draw(), plain);
});

Deno.test("a pipeline tells what is wrong with names and scales of LoRAs", async () => {
  await pipeline.loadLoraWeights(`${folder.path}/style`);
  assert.throws(() => pipeline.setAdapters("default"), {
    message: 'Cannot find the LoRA "default": nearest is "default_0"',
  });
  assert.throws(() => pipeline.setAdapters(["default_0"], [1, 2]), {
    message: "Cannot set adapters: expected 1 scales, one for each name, got 2",
  });
  await pipeline.unloadLora();
  await assert.rejects(pipeline.unloadLora("style"), {
    message: 'Cannot find the LoRA "style": none is loaded',
  });
  await assert.rejects(
    pipeline.loadLoraWeights(folder.path),
    /^Error: Cannot find a LoRA in .*: expected a \.safetensors/,
  );
});

Deno.test("baked LoRAs draw what they drew before, and cannot be unloaded", async () => {
  using own = await load();
  await own.loadLoraWeights(`${folder.path}/style`, { adapterName: "style", scale: 0.5 });
  const before = await draw(own);
  await own.bake();
  assert.deepEqual(own.adapters, {});
  const after = await draw(own);
  const off = Math.max(...Array.from(after, (value, i) => Math.abs(value - before[i]!)));
  assert.ok(off > 0 && off < 1e-3 * Math.max(...Array.from(before, Math.abs)), `off by ${off}`);
  await assert.rejects(own.unloadLora(), {
    message:
      'Cannot change adapter "style": it was baked into the weights; load the model again to be without it',
  });
});
