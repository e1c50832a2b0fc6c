import assert from "node:assert/strict";
import { AutoencoderKL, UNet2DConditionModel } from "../../src/models/mod.ts";
import { scaleBetween, type ScaleSchedule, StableDiffusionPipeline } from "../../src/pipelines/mod.ts";
import { DDIMScheduler } from "../../src/schedulers/mod.ts";
import { readTensors } from "../support/arrays.ts";
import { assertRelativelyClose } from "../support/close.ts";
import { device } from "../support/device.ts";
import { fixture } from "../support/fixtures.ts";
import { upload } from "../support/tensors.ts";

const bound = 1e-4; // of the largest value, f32

const folder = fixture("loras");
/** Scales of adapters in each step, as they were set by hand. */
const runs = JSON.parse(Deno.readTextFileSync(`${folder}/runs.json`)) as Record<
  string,
  Record<string, number>[]
>;
const stored = await readTensors(`${folder}/runs.safetensors`);
const steps = 5;

let pipeline: StableDiffusionPipeline;
Deno.test.beforeAll(async () => {
  const of = fixture("controlnet");
  const scheduler = new DDIMScheduler({
    ...{ beta_start: 0.00085, beta_end: 0.012, beta_schedule: "scaled_linear" },
    ...{ clip_sample: false, steps_offset: 1, set_alpha_to_one: false },
  });
  const unet = await UNet2DConditionModel.fromPretrained(`${of}/unet`, { dtype: "f32" });
  const vae = await AutoencoderKL.fromPretrained(`${of}/vae`, { dtype: "f32" });
  // deno-lint-ignore no-explicit-any
  pipeline = new StableDiffusionPipeline({ unet, vae, scheduler } as any); // embeddings are given
});
Deno.test.afterAll(() => {
  pipeline[Symbol.dispose]();
  device[Symbol.dispose]();
});

/** Latents drawn with schedules. */
async function draw(adapterScales?: Record<string, ScaleSchedule>): Promise<ArrayLike<number>> {
  const { latents } = await pipeline.run({
    ...{ promptEmbeds: upload(stored.get("prompt")!), negativePromptEmbeds: upload(stored.get("negative")!) },
    ...{ latents: upload(stored.get("latents")!), numInferenceSteps: steps, guidanceScale: 3 },
    ...{ outputType: "latent", height: 16, width: 16, progress: false, adapterScales },
  });
  return await latents.data();
}

const load = (adapterName: string, scale = 1) =>
  pipeline.loadLoraWeights(`${folder}/${adapterName}.safetensors`, { adapterName, scale });
const wanted = (name: string) => stored.get(name)!.data;

/** The scales of an adapter as they were set by hand. */
const byHand = (run: string, name: string): ScaleSchedule => (step, of) => {
  assert.equal(of, steps);
  return runs[run]![step]![name] ?? 0;
};

Deno.test("scales that change from step to step draw what they draw in diffusers, set by hand", async () => {
  const plain = await draw();
  await load("style", 0.8);
  assertRelativelyClose(await draw(), wanted("constant"), bound, "constant");
  const graphs = () => device.dump().match(/%\d+ = /g)!.join(); // ids tell traces from each other
  const before = graphs();
  assertRelativelyClose(await draw({ style: scaleBetween(0.8, 0.2, 0.8) }), wanted("range"), bound, "range");
  for (const name of ["range", "falling"]) {
    assertRelativelyClose(await draw({ style: byHand(name, "style") }), wanted(name), bound, name);
  }
  assert.equal(graphs(), before); // nothing was traced anew
  assert.deepEqual(pipeline.adapters, { style: 0.8 }); // as it was set
  assertRelativelyClose(await draw(), wanted("constant"), bound, "constant again");
  await pipeline.unloadLora();
  assert.deepEqual(await draw(), plain);
});

Deno.test("a run beside one whose scales change has its own", async () => {
  await load("style", 0.8);
  const all = await Promise.all([
    draw({ style: byHand("falling", "style") }),
    draw(),
    draw({ style: byHand("range", "style") }),
  ]);
  for (const [i, name] of ["falling", "constant", "range"].entries()) {
    assertRelativelyClose(all[i]!, wanted(name), bound, name);
  }
  await pipeline.unloadLora();
});

Deno.test("an adapter that is merged into weights changes from step to step, too, and is given back", async () => {
  await load("style", 0.5);
  await load("magnitudes");
  const before = await draw();
  const drawn = await draw({ magnitudes: byHand("both", "magnitudes") });
  assertRelativelyClose(drawn, wanted("both"), bound, "both");
  assert.deepEqual(pipeline.adapters, { style: 0.5, magnitudes: 1 });
  assert.deepEqual(await draw(), before);
  assert.deepEqual(pipeline.parts.unet.adapters.isMerged("magnitudes"), true);
  assert.deepEqual(pipeline.parts.unet.adapters.isMerged("style"), false);
  await pipeline.unloadLora();
});

Deno.test("scales by parts of the pipeline are set by name, and blocks by theirs", async () => {
  await load("style");
  await pipeline.setAdapters("style", { unet: { down: 0, mid: 0, up: 0, conv_in: 0, mid_block: 0 } });
  const none = await draw();
  assert.deepEqual(pipeline.adapters, {
    style: { unet: { down: 0, mid: 0, up: 0, conv_in: 0, mid_block: 0 } },
  });
  await pipeline.setAdapters("style", { unet: { down: 0.5 } });
  const some = await draw();
  assert.notDeepEqual(some, none);
  await pipeline.setAdapters("style", { unet: { "down_blocks.0": 0.5 } });
  assert.deepEqual(await draw(), some);
  await pipeline.setAdapters("style", { unet: 0.8 });
  assertRelativelyClose(await draw(), wanted("constant"), bound, "constant");
  await pipeline.setAdapters("style", 0.25);
  assert.deepEqual(await draw({ style: () => ({ down: 0.5 }) }), some);
  await pipeline.unloadLora();
});

Deno.test("scales of steps and parts that cannot be are refused, and the pipeline draws on", async () => {
  await load("style", 0.8);
  await assert.rejects(draw({ stile: () => 1 }), {
    message: 'Cannot find adapter "stile": nearest is "style"',
  });
  await assert.rejects(draw({ style: 0.5 as unknown as ScaleSchedule }), {
    message: 'Cannot scale adapter "style" in each step: expected a function of the step, got number',
  });
  await assert.rejects(
    draw({ style: () => NaN }),
    /Cannot set an adapter's scale to NaN: expected a finite number$/,
  );
  assert.throws(() => scaleBetween(1, 0.5, 0.5), {
    message: "Cannot scale an adapter from 0.5 to 0.5: expected two parts of the steps from 0 to 1, in order",
  });
  assert.throws(() => scaleBetween(1, 0.4, 0.5)(0, 4), {
    name: "RangeError",
    message:
      "Cannot scale an adapter from 0.4 to 0.5 of 4 steps: expected a whole step between them, got none; " +
      "take more steps, or parts that are further apart",
  });
  assert.deepEqual([0, 1, 2, 3].map((step) => scaleBetween(1, 0.4, 0.75)(step, 4)), [0, 0, 1, 0]);
  assert.throws(() => scaleBetween(1, NaN), /expected two parts of the steps/);
  assert.throws(() => pipeline.setAdapters("style", { transformer: 1 }), {
    message: 'Cannot set adapters of "transformer": expected some of unet; nearest is "unet"',
  });
  assertRelativelyClose(await draw(), wanted("constant"), bound, "constant");
  await pipeline.unloadLora();
});
