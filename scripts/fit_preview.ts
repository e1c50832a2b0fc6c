/**
 * Fits the colours of latents, by which previews are painted, to what a model's autoencoder decodes of the
 * pictures that the model draws. Prints them as src/pipelines/previews/known.ts has them, and their error.
 * Run: deno run -A scripts/fit_preview.ts CompVis/stable-diffusion-v1-4
 */
import "./plain_errors.ts";
import type { Shape } from "../src/core/shape.ts";
import { manualSeed, openDevice, type Tensor } from "denoise";
import type { AutoencoderKLConfig } from "denoise/models";
import { DiffusionPipeline, pictureOf, preview, StableDiffusionPipeline } from "denoise/pipelines";
import { DPMSolverMultistepScheduler } from "denoise/schedulers";
import { paint } from "../src/pipelines/previews/colors.ts";
import { fitToLatents } from "../src/pipelines/previews/fit.ts";
import { readArguments } from "./command_line/arguments.ts";
import * as option from "./command_line/options.ts";

const { model } = readArguments(
  "scripts/fit_preview.ts [model]",
  "Fits the colours of previews to what a model's autoencoder decodes, and prints them.",
  { model: option.model("of Stable Diffusion", "emoji-diffusion") },
);
const prompts = [
  ..."a nice flower, the sun, a red apple, a dog's face, a house, a blue car, a green frog".split(", "),
  ..."a smiling face, a tree, a purple heart, a strawberry, a fish, a banana, a black cat".split(", "),
  ..."a mountain with snow, a sea wave".split(", "),
];

using _device = await openDevice();
using pipeline = await DiffusionPipeline.fromPretrained(model);
if (!(pipeline instanceof StableDiffusionPipeline)) {
  throw new TypeError(
    `Cannot fit ${model}: expected a StableDiffusionPipeline, got ${pipeline.constructor.name}`,
  );
}
const { parts } = pipeline;
parts.scheduler = DPMSolverMultistepScheduler.fromConfig(parts.scheduler.config);
const { latents, images } = await pipeline.run({
  prompt: prompts,
  numInferenceSteps: 15,
  guidanceScale: 4.5,
  generator: manualSeed(0),
});

const { scaling_factor, latent_channels, block_out_channels } = parts.vae.config as AutoencoderKLConfig;
const colors = await fitToLatents(parts.vae, latents!);
console.log({
  config: { scaling_factor, latent_channels, block_out_channels },
  colors: colors.map((row) => row.map((value) => Number(value.toFixed(4)))),
});

const painted = paint({ shape: latents!.shape, data: await latents!.data() }, colors);
console.log(`Off by ${await deviation(pictureOf(painted))} in the mean square, in [0, 1]`);
const now = pictureOf(await preview(latents!, parts.vae));
console.log(`The colours that previews take for it now: ${await deviation(now)}`);

/** Deviation of previews from the pictures, both side by side in `row`, at the size of the previews. */
async function deviation(row: Tensor): Promise<string> {
  const [B, C, H, W] = images.shape as Shape<4>;
  const [h, w] = [H / parts.vae.scaleFactor, W / parts.vae.scaleFactor];
  const small = images.reshape([B, C, h, H / h, w, W / w]).mean([3, 5]);
  const off = small.sub(row.reshape([C, h, B, w]).permute([2, 0, 1, 3]));
  return Math.sqrt(await off.mul(off).mean().item()).toFixed(3);
}
