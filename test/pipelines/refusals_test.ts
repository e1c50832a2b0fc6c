import assert from "node:assert/strict";
import { manualSeed, type Tensor, zeros } from "../../src/mod.ts";
import { AutoencoderKL, CLIPTextModel, UNet2DConditionModel, UNet2DModel } from "../../src/models/mod.ts";
import {
  DiffusionPipeline,
  StableDiffusionImg2ImgPipeline,
  StableDiffusionInpaintPipeline,
  StableDiffusionPipeline,
  StableDiffusionXLImg2ImgPipeline,
  StableDiffusionXLPipeline,
} from "../../src/pipelines/mod.ts";
import { DDIMScheduler } from "../../src/schedulers/mod.ts";
import "../support/device.ts";

const root = `${import.meta.dirname}/../..`;
const emoji = `${root}/models/emoji-diffusion`;
const tiny = `${root}/test/fixtures/stable_diffusion_xl/pipeline`;
const told = { prompt: "a nice flower", numInferenceSteps: 2, progress: false } as const;

let sd: StableDiffusionPipeline;
let xl: StableDiffusionXLPipeline;
Deno.test.beforeAll(async () => {
  sd = await StableDiffusionPipeline.fromPretrained(emoji);
  xl = await StableDiffusionXLPipeline.fromPretrained(tiny);
});
Deno.test.afterAll(() => {
  sd[Symbol.dispose]();
  xl[Symbol.dispose]();
});

/** By what is wrong: what meets it, and the line that says so. */
const cases: Record<string, [work: () => Promise<unknown>, line: RegExp]> = {
  "a UNet2DModel as UNet2DConditionModel": [
    () => UNet2DConditionModel.fromPretrained(`${root}/models/emoji-ddpm`, { subfolder: "unet" }),
    /^Cannot load UNet2DConditionModel: expected its config in .*config\.json, got that of "UNet2DModel"; it is another model/,
  ],
  "a UNet2DConditionModel as UNet2DModel": [
    () => UNet2DModel.fromPretrained(emoji, { subfolder: "unet" }),
    /^Cannot load UNet2DModel: expected its config in .*config\.json, got that of "UNet2DConditionModel"; it is another model/,
  ],
  "an autoencoder as UNet2DConditionModel": [
    () => UNet2DConditionModel.fromPretrained(emoji, { subfolder: "vae" }),
    /^Cannot load UNet2DConditionModel: expected its config in .*config\.json, got that of "AutoencoderKL"; it is another model/,
  ],
  "a UNet as AutoencoderKL": [
    () => AutoencoderKL.fromPretrained(emoji, { subfolder: "unet" }),
    /^Cannot load AutoencoderKL: expected its config in .*config\.json, got that of "UNet2DConditionModel"; it is another model/,
  ],
  "a UNet as CLIPTextModel": [
    () => CLIPTextModel.fromPretrained(emoji, { subfolder: "unet" }),
    /^Cannot load CLIPTextModel: expected its config in .*config\.json, got that of "UNet2DConditionModel"; /,
  ],
  "an unconditional model as StableDiffusionPipeline": [
    () => StableDiffusionPipeline.fromPretrained(`${root}/models/emoji-ddpm`),
    /^Cannot load the pipeline's vae: expected AutoencoderKL or AutoencoderTiny, got none; /,
  ],
  "Stable Diffusion as StableDiffusionXLPipeline": [
    () => StableDiffusionXLPipeline.fromPretrained(emoji),
    /^Cannot load the pipeline's text_encoder_2: expected CLIPTextModelWithProjection, got none; /,
  ],
  "a UNet of SDXL in a pipeline of SD": [
    () => new StableDiffusionPipeline({ ...sd.parts, unet: xl.parts.unet }).run(told),
    /^Cannot draw with this UNet: expected no addition_embed_type, got "text_time"; StableDiffusionXLPipeline /,
  ],
  "a UNet of SD in a pipeline of SDXL": [
    () => new StableDiffusionXLPipeline({ ...xl.parts, unet: sd.parts.unet }).run(told),
    /^Cannot draw with this UNet: expected addition_embed_type "text_time", got none; StableDiffusionPipeline /,
  ],
  "a text encoder of another width": [
    () => {
      const { tokenizer, textEncoder } = xl.parts;
      const parts = { ...sd.parts, tokenizer: tokenizer!, textEncoder: textEncoder! };
      return new StableDiffusionPipeline(parts).run(told);
    },
    /^Cannot use encoderHiddenStates: expected shape \[2, tokens, 128\], got \[2, 77, 8\]$/,
  ],
  "a tokenizer of another vocabulary": [
    () => new StableDiffusionPipeline({ ...sd.parts, textEncoder: xl.parts.textEncoder! }).run(told),
    /^Cannot encode token \d+: expected a whole number from 0 to \d+; the tokenizer is of another model$/,
  ],
  "a height that the autoencoder does not divide": [
    () => xl.run({ ...told, height: 31 }),
    /^Cannot draw with height 31: expected a multiple of 2 from 2, such as 32$/,
  ],
  "no steps of SDXL": [() => xl.run({ ...told, numInferenceSteps: 0 }), /^Cannot set timesteps: .*, got 0$/],
  "half a step": [() => sd.run({ ...told, numInferenceSteps: 2.5 }), /^Cannot set timesteps: .*, got 2\.5$/],
  "NaN steps": [() => sd.run({ ...told, numInferenceSteps: NaN }), /^Cannot set timesteps: .*, got NaN$/],
  "NaN as guidance of SDXL": [
    () => xl.run({ ...told, guidanceScale: NaN }),
    /^Cannot draw with guidanceScale NaN: expected a number$/,
  ],
  "NaN as guidanceRescale": [
    () => xl.run({ ...told, guidanceRescale: NaN }),
    /^Cannot draw with guidanceRescale NaN: expected a number$/,
  ],
  "NaN as eta": [
    () => {
      const scheduler = DDIMScheduler.fromConfig(sd.parts.scheduler.config);
      return new StableDiffusionPipeline({ ...sd.parts, scheduler }).run({ ...told, eta: NaN });
    },
    /^Cannot draw with eta NaN: expected a number$/,
  ],
  "second prompts of another number": [
    () => xl.run({ ...told, prompt: ["a", "b"], prompt2: ["a", "b", "c"] }),
    /^Cannot draw: expected one prompt2 or 2, as there are prompts, got 3$/,
  ],
  "latents of another size in SDXL": [
    () => xl.run({ ...told, height: 32, width: 32, latents: zeros([1, 4, 8, 8]) }),
    /^Cannot draw: expected latents \[1, 4, 16, 16\], got \[1, 4, 8, 8\]$/,
  ],
  "a picture of two for one prompt of SDXL": [
    () =>
      new StableDiffusionXLImg2ImgPipeline(xl.parts).run({
        ...told,
        strength: 1,
        image: picture([2, 3, 32, 32]),
      }),
    /^Cannot change a picture: expected \[1, 3, H, W\], got \[2, 3, 32, 32\]$/,
  ],
  "strength above 1": [
    () => new StableDiffusionImg2ImgPipeline(sd.parts).run({ ...told, image: picture(), strength: 1.5 }),
    /^Cannot slice by strength: expected more than 0 and at most 1, got 1\.5$/,
  ],
  "no picture to change": [
    () => new StableDiffusionImg2ImgPipeline(sd.parts).run({ ...told, image: none }),
    /^Cannot change a picture: expected image, got none$/,
  ],
  "no mask": [
    () => new StableDiffusionInpaintPipeline(sd.parts).run({ ...told, image: picture(), mask: none }),
    /^Cannot inpaint: expected mask, got none$/,
  ],
  "a mask of four channels": [
    () => {
      const inpaint = new StableDiffusionInpaintPipeline(sd.parts);
      return inpaint.run({ ...told, image: picture(), mask: zeros([1, 4, 32, 32]) });
    },
    /^Cannot inpaint: expected a mask \[1, 1 or 3, H, W\], got \[1, 4, 32, 32\]$/,
  ],
};
for (const [what, [work, line]] of Object.entries(cases)) {
  Deno.test(`${what}: one line says what is wrong`, async () => {
    await assert.rejects(work, (error: Error) => {
      assert.match(error.message, line);
      return !error.message.includes("\n");
    });
  });
}

Deno.test("lone surrogates are drawn by SDXL, too", async () => {
  const prompt = "\ud83d a \udc36";
  const { images } = await xl.run({ ...told, height: 32, width: 32, prompt, generator: manualSeed(0) });
  assert.ok((await images.data()).every(Number.isFinite));
});

Deno.test("a scheduler or a pipeline that nobody knows is refused before a model is read", async () => {
  const folder = await Deno.makeTempDir({ prefix: "denoise-refusals-" });
  try {
    const index = JSON.parse(await Deno.readTextFile(`${emoji}/model_index.json`));
    const write = (json: object) => Deno.writeTextFile(`${folder}/model_index.json`, JSON.stringify(json));
    for (const [name, className] of [["scheduler", "DreamScheduler"], ["unet", "DreamModel"]]) {
      await write({ ...index, [name!]: ["diffusers", className!] });
      await assert.rejects(DiffusionPipeline.fromPretrained(folder), ({ message }: Error) => {
        assert.match(
          message,
          new RegExp(`^Cannot load the pipeline's ${name}: expected .*, got ${className}; `),
        );
        return !message.includes("\n");
      });
    }
    await write({ ...index, _class_name: "DreamPipeline" });
    await assert.rejects(
      DiffusionPipeline.fromPretrained(folder),
      /^TypeError: Cannot load .*, got DreamPipeline/,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** A black picture. */
function picture(shape = [1, 3, 32, 32]): Tensor {
  return zeros(shape);
}

const none = undefined as unknown as Tensor; // as from JavaScript
