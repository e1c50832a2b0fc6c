import assert from "node:assert/strict";
import { loadImage, manualSeed, type Tensor } from "../../../src/mod.ts";
import { AutoencoderKL, T2IAdapter, UNet2DConditionModel } from "../../../src/models/mod.ts";
import {
  DiffusionPipeline,
  StableDiffusionAdapterPipeline,
  StableDiffusionPipeline,
  StableDiffusionXLAdapterPipeline,
} from "../../../src/pipelines/mod.ts";
import { stagesOf } from "../../../src/pipelines/memory/stages.ts";
import { UniPCMultistepScheduler } from "../../../src/schedulers/mod.ts";
import { camelCased } from "../../conformance/json.ts";
import { readTensors } from "../../support/arrays.ts";
import { assertPicture } from "../../support/close.ts";
import { fixture } from "../../support/fixtures.ts";
import { adapted, adapterFolder, type AdapterRun, openAdapter } from "../../support/t2i_adapter.ts";
import { assertTensor, upload } from "../../support/tensors.ts";
import "../../support/device.ts";

const bound = 1e-4; // of the largest value, f32
const base = fixture("controlnet");
const embeddings = await readTensors(`${base}/runs.safetensors`);
const expected = await readTensors(fixture("t2i_adapter/expected.safetensors"));
const read = (name: string) => loadImage(`${base}/${name}.png`);

/** A pipeline of models that are given their embeddings, without encoders of text. */
async function open({ xl, adapters }: Pick<AdapterRun, "xl" | "adapters">) {
  const nets: T2IAdapter[] = [];
  for (const name of adapters) nets.push(await openAdapter(name));
  const parts = {
    unet: await UNet2DConditionModel.fromPretrained(`${base}/${xl ? "unet_xl" : "unet"}`, { dtype: "f32" }),
    vae: await AutoencoderKL.fromPretrained(`${base}/vae`, { dtype: "f32" }),
    scheduler: new UniPCMultistepScheduler({
      beta_schedule: "scaled_linear",
      beta_start: 0.00085,
      beta_end: 0.012,
    }),
    adapter: nets.length === 1 ? nets[0]! : nets,
  };
  const type = xl ? StableDiffusionXLAdapterPipeline : StableDiffusionAdapterPipeline;
  // deno-lint-ignore no-explicit-any
  return new type(parts as any);
}

function embeds(xl: boolean, guided: boolean): Record<string, Tensor> {
  const names = ["prompt_embeds", ...xl ? ["pooled_prompt_embeds"] : []];
  const all = names.flatMap((name) => guided ? [name, `negative_${name}`] : [name]);
  return camelCased(Object.fromEntries(all.map((name) => [name, upload(embeddings.get(name)!)]))) as Record<
    string,
    Tensor
  >;
}

for (const run of adapted.runs) {
  Deno.test(`T2I-Adapters change what is drawn as in diffusers: ${run.name}`, async () => {
    using pipeline = await open(run);
    const images: Tensor[] = [];
    for (const name of run.images) images.push(await read(name));
    const options = { guidanceScale: 5, ...camelCased(run.options) as { guidanceScale?: number } };
    const { images: latents } = await pipeline.run({
      ...embeds(run.xl, options.guidanceScale > 1),
      ...options,
      image: images.length === 1 ? images[0]! : images,
      numInferenceSteps: 4,
      generator: manualSeed(3),
      outputType: "latent",
      progress: false,
    });
    await assertTensor(latents, expected.get(`${run.name}/latents`)!, bound, "latents");
  });
}

Deno.test("StableDiffusionAdapterPipeline draws diffusers' picture", async () => {
  using pipeline = await open(adapted.runs.find(({ name }) => name === "one")!);
  const { images } = await pipeline.run({
    ...embeds(false, true),
    guidanceScale: 5,
    image: await read("control"),
    numInferenceSteps: 4,
    generator: manualSeed(3),
    progress: false,
  });
  await assertPicture(images, await loadImage(fixture("t2i_adapter/one.png")));
});

Deno.test("T2I-Adapters are loaded with a pipeline, by name or as models, and its own from its folders", async () => {
  const emoji = `${import.meta.dirname}/../../../models/emoji-diffusion`;
  using folder = await adapterFolder("full");
  using chosen = await DiffusionPipeline.fromPretrained(emoji, { adapter: folder.path });
  assert.ok(chosen instanceof StableDiffusionAdapterPipeline);
  assert.ok(chosen.parts.adapter instanceof T2IAdapter);
  await assert.rejects(
    async () => await chosen.run({ prompt: "a cat", image: await read("control"), progress: false }),
    /Cannot control by this T2I-Adapter: expected features of [\d, ]+ channels, as the UNet has, got 4, 8; it is for/,
  );
  await assert.rejects(StableDiffusionPipeline.fromPretrained(emoji, { adapter: folder.path }), {
    message:
      "Cannot load StableDiffusionPipeline with adapter: expected a pipeline that is controlled, e.g. StableDiffusionAdapterPipeline",
  });
  await assert.rejects(StableDiffusionAdapterPipeline.fromPretrained(emoji), {
    message:
      `Cannot control what ${emoji} draws: expected adapter as an option, a model or its repository, got none`,
  });
  await assert.rejects(
    StableDiffusionAdapterPipeline.fromPretrained(emoji, { adapter: 3 as unknown as string }),
    { message: /Cannot control by .*: expected adapter as a T2IAdapter, a folder, a repository or a file/ },
  );
});

Deno.test("pictures that do not fit are refused before anything is drawn", async () => {
  using pipeline = await open({ xl: false, adapters: ["full", "gray"] });
  const image = await read("control");
  const told = { ...embeds(false, true), numInferenceSteps: 1, progress: false } as const;
  const cases: [object, RegExp][] = [
    [{ image }, /^Cannot control by 1 pictures: expected 2, one for each T2I-Adapter; /],
    [
      { image: [image, image.slice(1, 0, 2)] },
      /^Cannot control by a picture: expected \[1, 1, H, W\], got \[1, 2,/,
    ],
    [{ image: [image, image.mul(2)] }, /^Cannot change a picture that controls: expected values from 0 to 1/],
    [
      { image: [image, image], adapterConditioningScale: [1, 2, 3] },
      /^Cannot control with 3 values of adapterCond/,
    ],
    [
      { image: [image, image], adapterConditioningFactor: NaN },
      /^Cannot draw with adapterConditioningFactor NaN/,
    ],
    [{ image: [image, image], height: 25 }, /^Cannot draw with height 25: expected a multiple of 2/],
    [{ image: [image, "a.png"] }, /expected image to be a tensor/],
    [{ image: [image, image], controlGuidanceEnd: 1 }, /with controlGuidanceEnd: no such option/],
  ];
  for (const [options, message] of cases) {
    // deno-lint-ignore no-explicit-any
    await assert.rejects(pipeline.run({ ...told, ...options } as any), { message });
  }
});

Deno.test("a plan of memory counts a T2I-Adapter in front of the UNet, whose features are added to it", async () => {
  using pipeline = await open({ xl: false, adapters: ["full"] });
  const stages = stagesOf({ ...pipeline.parts }, { width: 32, height: 24 });
  assert.deepEqual(stages.map(({ name }) => name), ["adapter", "unet", "vae"]);
  assert.ok(stages[0]!.activations > 0);
});
