import assert from "node:assert/strict";
import { manualSeed, type Tensor, tensor } from "../../../src/mod.ts";
import { UNet2DConditionModel } from "../../../src/models/mod.ts";
import {
  type LatentOutput,
  StableDiffusionImg2ImgPipeline,
  StableDiffusionInpaintPipeline,
  StableDiffusionPipeline,
  StableDiffusionXLImg2ImgPipeline,
  StableDiffusionXLInpaintPipeline,
  type StableDiffusionXLInpaintRunOptions,
  type StableDiffusionXLParts,
  StableDiffusionXLPipeline,
} from "../../../src/pipelines/mod.ts";
import { schedulerClasses } from "../../../src/schedulers/mod.ts";
import { type HostTensor, readTensors } from "../../support/arrays.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import "../../support/device.ts";
import { assertRefused } from "../../support/refused.ts";

const folder = `${import.meta.dirname}/../../fixtures/stable_diffusion_xl`;
const bound = 1e-3; // a whole loop in f32

/** A run as meta.json has it. */
interface Run {
  pipeline: string;
  unet: string;
  scheduler: string;
  args: Record<string, unknown> & { image?: string };
}
const { generator_seed, height, width, runs }: {
  generator_seed: number;
  height: number;
  width: number;
  runs: Record<string, Run>;
} = JSON.parse(await Deno.readTextFile(`${folder}/meta.json`));

const classes = {
  StableDiffusionPipeline,
  StableDiffusionImg2ImgPipeline,
  StableDiffusionInpaintPipeline,
  StableDiffusionXLPipeline,
  StableDiffusionXLImg2ImgPipeline,
  StableDiffusionXLInpaintPipeline,
} as unknown as Record<
  string,
  new (parts: StableDiffusionXLParts) => { run(options: Record<string, unknown>): Promise<LatentOutput> }
>;

let pipeline: StableDiffusionXLPipeline;
let expected: Map<string, HostTensor>;
const unets = new Map<string, UNet2DConditionModel>();
Deno.test.beforeAll(async () => {
  expected = await readTensors(`${folder}/expected.safetensors`);
  pipeline = await StableDiffusionXLPipeline.fromPretrained(`${folder}/pipeline`, { dtype: "f32" });
  unets.set("unet", pipeline.parts.unet);
  for (const name of ["unet_nine", "unet_refiner", "unet_distilled", "unet_sd_distilled"]) {
    unets.set(name, await UNet2DConditionModel.fromPretrained(`${folder}/${name}`, { dtype: "f32" }));
  }
});
Deno.test.afterAll(() => {
  pipeline[Symbol.dispose]();
  for (const unet of unets.values()) unet[Symbol.dispose]();
});

for (const [name, run] of Object.entries(runs)) {
  Deno.test(`${run.pipeline} draws what diffusers draws: ${name.replaceAll("_", " ")}`, async () => {
    const { latents, images } = await draw(run);
    const want = expected.get(`${name}/latents`)!;
    assert.deepEqual(latents.shape, want.shape);
    assertRelativelyClose(await latents.data(), want.data, bound, "latents");
    const picture = expected.get(`${name}/image`);
    if (picture) assertRelativelyClose(await images.data(), picture.data, bound, "image");
  });
}

Deno.test('outputType "latent" returns the latents and leaves the decoder out', async () => {
  const run = { ...runs["base"]!, args: { ...runs["base"]!.args, output_type: "latent" } };
  const { latents, images } = await draw(run);
  assert.equal(images, latents);
});

Deno.test("latents that a run goes on with stay the caller's", async () => {
  const image = given("base/latents");
  const options = { ...small, image, denoisingStart: 0.6 };
  await new StableDiffusionXLImg2ImgPipeline(pipeline.parts).run(options);
  await new StableDiffusionXLInpaintPipeline(pipeline.parts).run({ ...options, mask: given("mask") });
  assert.deepEqual([...await image.data()], [...expected.get("base/latents")!.data]);
});

const image = () => given("image");
const small = { prompt: "a nice flower", numInferenceSteps: 5, guidanceScale: 1, progress: false } as const;
const bad: Record<string, [options: Partial<StableDiffusionXLInpaintRunOptions>, line: RegExp]> = {
  "denoisingStart NaN": [
    { denoisingStart: NaN },
    /^Cannot draw with denoisingStart NaN: expected a number betwe/,
  ],
  "denoisingStart 1": [
    { denoisingStart: 1 },
    /^Cannot draw with denoisingStart 1: expected a number between 0 a/,
  ],
  "denoisingEnd 0": [
    { denoisingEnd: 0 },
    /^Cannot draw with denoisingEnd 0: expected a number between 0 and 1$/,
  ],
  "an end before the start": [
    { denoisingStart: 0.8, denoisingEnd: 0.3 },
    /^Cannot draw from denoisingStart 0.8 to denoisingEnd 0.3: expected less of it first$/,
  ],
  "a start after the last step": [
    { denoisingStart: 0.9999 },
    /^Cannot draw from denoisingStart 0.9999: no step is left; set more steps$/,
  ],
  "an end before the first step": [
    { strength: 0.2, denoisingEnd: 0.1 },
    /^Cannot draw up to denoisingEnd 0.1: no step is left; set more steps$/,
  ],
  "strength NaN": [
    { strength: NaN },
    /^Cannot slice by strength: expected more than 0 and at most 1, got NaN$/,
  ],
  "no steps": [{ numInferenceSteps: 0 }, /^Cannot .*steps.* 0/],
  "NaN as guidance": [{ guidanceScale: NaN }, /^Cannot draw with guidanceScale NaN: expected a number$/],
  "negative prompts of another number": [
    { negativePrompt: ["", ""] },
    /^Cannot draw: expected one negative /,
  ],
};
for (const [what, [options, line]] of Object.entries(bad)) {
  Deno.test(`StableDiffusionXLInpaintPipeline refuses ${what} in one line`, async () => {
    const inpaint = new StableDiffusionXLInpaintPipeline(pipeline.parts);
    await assertRefused(inpaint.run({ ...small, image: image(), mask: given("mask"), ...options }), line);
  });
}

Deno.test("StableDiffusionXLInpaintPipeline refuses masks of another shape, and values beyond 1", async () => {
  const inpaint = new StableDiffusionXLInpaintPipeline(pipeline.parts);
  const mask = given("mask");
  await assertRefused(
    inpaint.run({ ...small, image: image(), mask: mask.squeeze(1) }),
    /^Cannot inpaint: expected a mask \[1, 1 or 3, H, W\], got \[1, 24, 32\]$/,
  );
  await assertRefused(
    inpaint.run({ ...small, image: image(), mask: mask.mul(2) }),
    /^Cannot change by a mask: expected values from 0 to 1, got 1\.2/,
  );
});

Deno.test("latents cannot be inpainted with a UNet that sees the rest of the picture", async () => {
  const unet = unets.get("unet_nine")!;
  const inpaint = new StableDiffusionXLInpaintPipeline({ ...pipeline.parts, unet });
  const latents = given("base/latents");
  await assertRefused(
    inpaint.run({ ...small, image: latents, mask: given("mask") }),
    /^Cannot inpaint latents with a UNet that sees masks: expected a picture as image$/,
  );
});

Deno.test("a UNet that sees masks is refused where there is none, with the pipeline that has one", async () => {
  const parts = { ...pipeline.parts, unet: unets.get("unet_nine")! };
  await assertRefused(
    new StableDiffusionXLPipeline(parts).run(small),
    /^Cannot draw with a UNet of 9 channels: expected 4, .*; StableDiffusionXLInpaintPipeline takes models /,
  );
  await assertRefused(
    new StableDiffusionXLImg2ImgPipeline(parts).run({ ...small, image: image() }),
    /^Cannot draw with a UNet of 9 channels: expected 4/,
  );
});

/** The run with the options of diffusers in camelCase. */
async function draw({ pipeline: className, unet, scheduler, args }: Run): Promise<LatentOutput> {
  const config = pipeline.parts.scheduler.config;
  const parts: StableDiffusionXLParts = {
    ...pipeline.parts,
    unet: unets.get(unet)!,
    scheduler: schedulerClasses[scheduler]!.fromConfig(config),
  };
  if (unet === "unet_refiner") { // which has one text encoder
    Object.assign(parts, { textEncoder: undefined, tokenizer: undefined, requiresAestheticsScore: true });
  }
  const options: Record<string, unknown> = Object.fromEntries(
    Object.entries(args).map((
      [key, value],
    ) => [key.replace(/_(.)/g, (_, letter) => letter.toUpperCase()), value]),
  );
  if (/Img2Img|Inpaint/.test(className)) {
    options["image"] = given(args.image ? `${args.image}/latents` : "image");
  }
  if (/Inpaint/.test(className)) options["mask"] = given("mask");
  const generator = manualSeed(generator_seed);
  return await new classes[className]!(parts).run({ height, width, ...options, generator, progress: false });
}

function given(name: string): Tensor {
  const { data, shape } = expected.get(name)!;
  return tensor(Float32Array.from(data), [...shape]);
}

Deno.test("a second negative prompt alone has no effect, as in diffusers, and that is told", async () => {
  const told: string[] = [];
  const onNotice = (line: string) => told.push(line);
  const { negativePromptEmbeds } = await pipeline.encodePrompt({
    prompt: "a",
    negativePrompt2: "leaf",
    onNotice,
  });
  assert.ok((await negativePromptEmbeds.data()).every((value) => value === 0));
  assert.deepEqual(told, ['negativePrompt2 has no effect: there is no negativePrompt; "" is one']);
  const both = { prompt: "a", negativePrompt: "", negativePrompt2: "leaf", onNotice };
  const { negativePromptEmbeds: counted } = await pipeline.encodePrompt(both);
  assert.ok((await counted.data()).some((value) => value !== 0));
  assert.equal(told.length, 1);
});

Deno.test("XL leaves out layers of both text encoders, for the prompt alone, as in diffusers", async () => {
  const options = { prompt: "a red apple", negativePrompt: "leaf", clipSkip: 1 };
  const { promptEmbeds, negativePromptEmbeds } = await pipeline.encodePrompt(options);
  // encode_prompt(clip_skip=1) of diffusers 0.42.1: tokens 1, 3 and 76, channels 0, 9 and 18
  const want = {
    promptEmbeds: [
      -0.033356,
      -0.670715,
      0.751343,
      0.242432,
      -1.053589,
      -0.147278,
      0.011826,
      -0.020907,
      -0.075409,
    ],
    negativePromptEmbeds: [
      3.543474,
      1.734755,
      -1.122003,
      1.920439,
      0.638896,
      -0.025687,
      0.954518,
      -0.284326,
      0.254518,
    ],
  };
  for (const [name, x] of Object.entries({ promptEmbeds, negativePromptEmbeds })) {
    const values = await x.data();
    const got = [1, 3, 76].flatMap((token) => [0, 9, 18].map((channel) => values[20 * token + channel]!));
    assertRelativelyClose(got, want[name as keyof typeof want], 1e-5, name);
  }
});
