import assert from "node:assert/strict";
import { memoryOf } from "../../../src/gpu/memory/adapter_memory.ts";
import { manualSeed, OutOfMemoryError } from "../../../src/mod.ts";
import {
  FluxPipeline,
  StableDiffusionImg2ImgPipeline,
  StableDiffusionPipeline,
} from "../../../src/pipelines/mod.ts";
import { acquireModels, memoryBudget, modelsOf } from "../../../src/pipelines/memory/acquire.ts";
import { device } from "../../support/device.ts";
import { emoji, flower } from "../../support/emoji.ts";
import { fixture } from "../../support/fixtures.ts";

Deno.test("a pipeline opens without weights, brings each model when it works, and keeps all where nothing is short", async () => {
  using pipeline = await open();
  assert.deepEqual(loaded(pipeline), []);
  await pipeline.run(flower);
  assert.deepEqual(loaded(pipeline), ["textEncoder", "unet", "vae"]);
});

Deno.test("where memory is short, the text encoder leaves before the UNet comes, and the picture is the same", async () => {
  using pipeline = await open();
  const { textEncoder, unet, vae } = pipeline.parts;
  const want = await (await pipeline.run({ ...flower, generator: manualSeed(0) })).images.data();
  for (const model of [textEncoder, unet, vae]) model.unload();

  pipeline.parts.memory = 1;
  const seen: string[][] = [];
  const acquire = unet.acquire.bind(unet);
  unet.acquire = (options) => (seen.push(loaded(pipeline)), acquire(options));
  const onStep = () => seen.push(loaded(pipeline));
  const { images } = await pipeline.run({
    ...flower,
    generator: manualSeed(0),
    numInferenceSteps: 2,
    onStep,
  });
  assert.deepEqual(seen, [[], ["unet"], ["unet"], ["unet"]]); // PNDM takes one step more
  assert.deepEqual(loaded(pipeline), ["vae"]);
  assert.deepEqual(await images.data(), want);

  const again = await new StableDiffusionImg2ImgPipeline(pipeline.parts).run({ ...flower, image: images });
  assert.ok((await again.images.data()).every(Number.isFinite));
});

Deno.test("acquireModels() lets only so many models go as there is need for", async () => {
  using pipeline = await open();
  const { parts } = pipeline;
  const sizes = modelsOf(parts).map((model) => model.bytes + model.workspace);
  (await acquireModels(parts, [parts.textEncoder, parts.vae]))[Symbol.dispose]();
  parts.memory = sizes.reduce((a, b) => a + b) - 1;
  (await acquireModels(parts, [parts.unet]))[Symbol.dispose]();
  assert.equal(loaded(pipeline).length, 2);
  (await acquireModels(parts, [parts.unet]))[Symbol.dispose]();
  assert.equal(loaded(pipeline).length, 2);
  parts.memory += 1;
  (await acquireModels(parts, [parts.vae, parts.textEncoder]))[Symbol.dispose]();
  assert.equal(loaded(pipeline).length, 3);
});

Deno.test("where the GPU turns out to be full, the other models leave and it is tried again, once", async () => {
  using pipeline = await open();
  const { parts } = pipeline;
  parts.memory = undefined;
  (await acquireModels(parts, [parts.textEncoder, parts.vae]))[Symbol.dispose]();
  const acquire = parts.unet.acquire.bind(parts.unet);
  let tries = 0;
  parts.unet.acquire = async (options) => {
    if (tries++ === 0) throw new OutOfMemoryError("full");
    return await acquire(options);
  };
  (await acquireModels(parts, [parts.unet]))[Symbol.dispose]();
  assert.deepEqual(loaded(pipeline), ["unet"]);
  parts.unet.unload();
  (await acquireModels(parts, [parts.vae]))[Symbol.dispose]();
  tries = -1;
  parts.unet.acquire = () => (tries++, Promise.reject(new OutOfMemoryError("still full")));
  await assert.rejects(acquireModels(parts, [parts.unet]), { message: "still full" });
  assert.equal(tries, 2); // with the others, without them, and once more
});

Deno.test("a budget is a number above 0, and by default what is known of the adapter", async () => {
  await assert.rejects(memoryBudget({ memory: 0 }), {
    message: "Cannot work in 0 bytes of GPU memory: expected a number above 0",
  });
  assert.equal(await memoryBudget({ memory: 5 }), 5);
  const known = await memoryOf(device);
  assert.equal(await memoryBudget({}), known && Math.floor(known * 0.9));
});

Deno.test("FLUX with a LoRA draws the same bits, whether its models stay, take turns or come from the disk", async () => {
  const run = { prompt: "a cat", height: 64, width: 64, numInferenceSteps: 2, progress: false } as const;
  const stream = { chunk: 8 << 10 };
  let want: ArrayLike<number> | undefined;
  for (const how of [{}, { memory: 1000 }, { stream }, { stream, memory: 1000 }]) {
    using pipeline = await FluxPipeline.fromPretrained(fixture("flux/pipeline"), {
      dtype: "f32",
      onNotice: () => {},
      ...how,
    });
    await pipeline.loadLoraWeights(fixture("flux/lora/kohya.safetensors"));
    for (let time = 0; time < 2; time++) {
      const { images } = await pipeline.run({ ...run, generator: manualSeed(1) });
      const got = await images.data();
      assert.deepEqual(got, want ??= got, `${JSON.stringify(how)}, run ${time}`);
    }
  }
});

function open(): Promise<StableDiffusionPipeline> {
  return StableDiffusionPipeline.fromPretrained(emoji, { dtype: "f32" });
}

function loaded({ parts }: StableDiffusionPipeline): string[] {
  const { textEncoder, unet, vae } = parts;
  return Object.entries({ textEncoder, unet, vae }).flatMap(([name, model]) => model.loaded ? [name] : []);
}
