import assert from "node:assert/strict";
import { loadImage, manualSeed, randn, type Tensor } from "../../../src/mod.ts";
import { AutoencoderKL, ControlNetModel, UNet2DConditionModel } from "../../../src/models/mod.ts";
import {
  DiffusionPipeline,
  StableDiffusionControlNetImg2ImgPipeline,
  StableDiffusionControlNetInpaintPipeline,
  StableDiffusionControlNetPipeline,
  StableDiffusionPipeline,
  StableDiffusionXLControlNetImg2ImgPipeline,
  StableDiffusionXLControlNetPipeline,
} from "../../../src/pipelines/mod.ts";
import { UniPCMultistepScheduler } from "../../../src/schedulers/mod.ts";
import { readTensors } from "../../support/arrays.ts";
import { fixture } from "../../support/fixtures.ts";
import { assertTensor, onHost, upload } from "../../support/tensors.ts";
import { device } from "../../support/device.ts";

const bound = 1e-4; // of the largest value, f32

/** A run of diffusers, with the names of Python. */
interface Run {
  name: string;
  pipeline: string;
  controlnets: string[];
  options: Record<string, number | boolean | number[]>;
  pictures: Record<string, string[]>;
}

const folder = fixture("controlnet");
const runs = JSON.parse(await Deno.readTextFile(`${folder}/runs.json`)) as Run[];
const stored = await readTensors(`${folder}/runs.safetensors`);
const classes = {
  StableDiffusionControlNetPipeline,
  StableDiffusionControlNetImg2ImgPipeline,
  StableDiffusionControlNetInpaintPipeline,
  StableDiffusionXLControlNetImg2ImgPipeline,
  StableDiffusionXLControlNetPipeline,
};

const opened = new Map<string, UNet2DConditionModel | AutoencoderKL | ControlNetModel>();
Deno.test.beforeAll(async () => {
  for (const [name, type] of Object.entries({ unet: UNet2DConditionModel, vae: AutoencoderKL })) {
    opened.set(name, await type.fromPretrained(`${folder}/${name}`, { dtype: "f32" }));
  }
  opened.set("unet_xl", await UNet2DConditionModel.fromPretrained(`${folder}/unet_xl`, { dtype: "f32" }));
  for (const name of new Set(runs.flatMap(({ controlnets }) => controlnets))) {
    opened.set(name, await ControlNetModel.fromPretrained(`${folder}/${name}`, { dtype: "f32" }));
  }
});
Deno.test.afterAll(() => {
  for (const model of opened.values()) model[Symbol.dispose]();
  device[Symbol.dispose]();
});

/** A pipeline of models that are given their embeddings, without encoders of text. */
function pipelineOf({ pipeline, controlnets }: Pick<Run, "pipeline" | "controlnets">) {
  const nets = controlnets.map((name) => opened.get(name) as ControlNetModel);
  const parts = {
    unet: opened.get(pipeline.includes("XL") ? "unet_xl" : "unet"),
    vae: opened.get("vae"),
    scheduler: new UniPCMultistepScheduler({
      beta_schedule: "scaled_linear",
      beta_start: 0.00085,
      beta_end: 0.012,
    }),
    controlnet: nets.length === 1 ? nets[0]! : nets,
  };
  // deno-lint-ignore no-explicit-any
  return new classes[pipeline as keyof typeof classes](parts as any);
}

const NAMES: Record<string, string> = { mask_image: "mask" };
const camel = (name: string) => NAMES[name] ?? name.replaceAll(/_(.)/g, (_, letter) => letter.toUpperCase());

async function optionsOf({ options, pictures }: Pick<Run, "options" | "pictures">) {
  const told: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) told[camel(name)] = value;
  for (const [name, files] of Object.entries(pictures)) {
    const tensors: Tensor[] = [];
    for (const file of files) tensors.push(await loadImage(`${folder}/${file}.png`));
    told[camel(name)] = tensors.length === 1 ? tensors[0]! : tensors;
  }
  return told;
}

function embeds(xl: boolean, guided: boolean): Record<string, Tensor> {
  const names = ["prompt_embeds", ...xl ? ["pooled_prompt_embeds"] : []];
  const all = names.flatMap((name) => guided ? [name, `negative_${name}`] : [name]);
  return Object.fromEntries(all.map((name) => [camel(name), upload(stored.get(name)!)]));
}

for (const run of runs) {
  Deno.test(`${run.pipeline} draws what diffusers draws: ${run.name}`, async () => {
    const { guidanceScale = 5, ...options } = await optionsOf(run) as { guidanceScale?: number };
    const { images, latents } = await pipelineOf(run).run({
      ...embeds(run.pipeline.includes("XL"), guidanceScale > 1),
      guidanceScale,
      ...options,
      numInferenceSteps: 4,
      generator: manualSeed(3),
      progress: false,
      // deno-lint-ignore no-explicit-any
    } as any);
    await assertTensor(latents, stored.get(`${run.name}/latents`)!, bound, "latents");
    const image = stored.get(`${run.name}/image`);
    if (image) await assertTensor(images, image, 2 * bound, "image");
  });
}

Deno.test("a ControlNet that is for the prompt alone, and counts less in front, draws what guess mode does", async () => {
  const { guessMode: _, ...options } = await optionsOf(runs.find(({ name }) => name === "guess")!);
  const pipeline = pipelineOf({ pipeline: "StableDiffusionControlNetPipeline", controlnets: ["controlnet"] });
  const { latents } = await pipeline.run({
    ...{
      ...embeds(false, true),
      ...options,
      numInferenceSteps: 4,
      generator: manualSeed(3),
      progress: false,
    },
    ...{ controlPromptOnly: [true], controlDecay: 10 ** (-1 / 4) }, // from 0.1 to 1 over 5 residuals
    // deno-lint-ignore no-explicit-any
  } as any);
  await assertTensor(latents, stored.get("guess/latents")!, bound, "latents");
});

Deno.test("a refiner with a ControlNet goes on where another model left off: no strength is set then", async () => {
  const run = runs.find(({ pipeline }) => pipeline === "StableDiffusionXLControlNetPipeline")!;
  const { image: controlImage } = await optionsOf(run);
  const pipeline = pipelineOf({ ...run, pipeline: "StableDiffusionXLControlNetImg2ImgPipeline" });
  const steps: number[] = [];
  const told = (options: object) => ({
    ...embeds(true, true),
    ...{ image: randn([1, 4, 8, 8], { generator: manualSeed(1) }), controlImage, numInferenceSteps: 10 },
    ...{ generator: manualSeed(3), progress: false, onStep: () => void steps.push(0) },
    ...options,
    // deno-lint-ignore no-explicit-any
  } as any);
  await pipeline.run(told({ denoisingStart: 0.5 }));
  assert.equal(steps.splice(0).length, 4, "timesteps below 500: 400, 300, 200, 100");
  await pipeline.run(told({}));
  assert.equal(steps.splice(0).length, 8, "0.8 by default");
});

Deno.test("ControlNets are loaded with a pipeline, by name or as models", async () => {
  const emoji = `${import.meta.dirname}/../../../models/emoji-diffusion`;
  const net = `${folder}/controlnet`;
  using one = await StableDiffusionControlNetPipeline.fromPretrained(emoji, { controlnet: net });
  assert.ok(one.parts.controlnet instanceof ControlNetModel);
  const model = opened.get("controlnet_1") as ControlNetModel;
  const two = await StableDiffusionControlNetPipeline.fromPretrained(emoji, { controlnet: [net, model] });
  assert.equal((two.parts.controlnet as readonly ControlNetModel[])[1], model);
  const chosen = await DiffusionPipeline.fromPretrained(emoji, { controlnet: net });
  assert.ok(chosen instanceof StableDiffusionControlNetPipeline);
  await assert.rejects(
    StableDiffusionPipeline.fromPretrained(emoji, { controlnet: net }),
    /Cannot load StableDiffusionPipeline with controlnet: expected a pipeline that is controlled/,
  );
  await assert.rejects(
    StableDiffusionControlNetPipeline.fromPretrained(emoji),
    /Cannot control what .*emoji-diffusion draws: expected controlnet as an option.*, got none/,
  );
});

Deno.test("a ControlNet of another model is refused by what it differs in", async () => {
  const pipeline = pipelineOf({
    pipeline: "StableDiffusionControlNetPipeline",
    controlnets: ["controlnet_xl"],
  }) as StableDiffusionControlNetPipeline;
  const image = await loadImage(`${folder}/control.png`);
  await assert.rejects(
    pipeline.run({ ...embeds(false, true), image, numInferenceSteps: 1, progress: false }),
    /Cannot control by this ControlNet: expected addition_embed_type null, as the UNet has, got "text_time"; it is for/,
  );
});

Deno.test("control that does not fit is refused before anything is drawn", async () => {
  const pipeline = pipelineOf({
    pipeline: "StableDiffusionControlNetPipeline",
    controlnets: ["controlnet", "controlnet_1"],
  }) as StableDiffusionControlNetPipeline;
  const image = await loadImage(`${folder}/control.png`);
  const told = { ...embeds(false, true), numInferenceSteps: 1, progress: false } as const;
  const cases: [object, RegExp][] = [
    [{ image }, /Cannot control by 1 pictures: expected 2, one for each ControlNet/],
    [{ image: [image, image.slice(1, 0, 1)] }, /Cannot control by a picture: expected \[1, 3, H, W\]/],
    [{ image: [image, image.mul(2)] }, /Cannot change a picture that controls: expected values from 0 to 1/],
    [{ image: [image, image], controlnetConditioningScale: [1, 2, 3] }, /3 values of controlnetConditioning/],
    [{ image: [image, image], controlDecay: [1, 2, 3] }, /3 values of controlDecay/],
    [
      { image: [image, image], controlPromptOnly: [true] },
      /controlPromptOnly true: expected true or false, or 2/,
    ],
    [{ image: [image, image], controlPromptOnly: 1 }, /controlPromptOnly 1: expected true or false, or 2/],
    [{ image: [image, image], controlGuidanceStart: 0.5, controlGuidanceEnd: 0.4 }, /from 0.5 to 0.4/],
    [{ image: [image, "control.png"] }, /expected image to be a tensor/],
    [{ image: [image, image], strength: 0.5 }, /with strength: no such option/],
  ];
  for (const [options, message] of cases) {
    // deno-lint-ignore no-explicit-any
    await assert.rejects(pipeline.run({ ...told, ...options } as any), message);
  }
});

Deno.test("ControlNets that count for no step cost nothing and change nothing", async () => {
  const control = pipelineOf({
    pipeline: "StableDiffusionControlNetPipeline",
    controlnets: ["controlnet"],
  }) as StableDiffusionControlNetPipeline;
  const image = await loadImage(`${folder}/control.png`);
  const options = {
    ...embeds(false, true),
    numInferenceSteps: 2,
    progress: false,
    outputType: "latent",
  } as const;
  const seed = () => ({ generator: manualSeed(1) });
  const { latents } = await control.run({ ...options, ...seed(), image, controlGuidanceEnd: 0.1 });
  const plain = new StableDiffusionPipeline(control.parts);
  const want = await plain.run({ ...options, ...seed(), height: 24, width: 32 });
  assert.deepEqual(latents.shape, want.latents.shape);
  await assertTensor(latents, await onHost(want.latents), 1e-6, "latents");
});
