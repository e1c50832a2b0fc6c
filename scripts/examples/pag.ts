/**
 * Draws with perturbed attention guidance (Ahn et al. 2024, https://arxiv.org/abs/2403.17377): away from what the model
 * predicts where the pixels of its middle see nothing but themselves.
 * Run: deno run -A scripts/examples/pag.ts "a nice flower" --seed 0
 */
import "../plain_errors.ts";
import "../command_line/shown_only.ts";
import { cat, manualSeed, openDevice, progress, randn, savePng } from "denoise";
import type { Edit, UNet2DConditionModel } from "denoise/models";
import { StableDiffusionPipeline } from "denoise/pipelines";
import { readArguments } from "../command_line/arguments.ts";
import * as option from "../command_line/options.ts";

/** Lets the last of so many parts of a batch attend to nothing but itself, in the middle block. */
export function perturb(unet: UNet2DConditionModel, parts: number): Edit[] {
  const layers = unet.paths.filter((path) => /^mid_block\..*attn1\.attention$/.test(path));
  return layers.map((path) =>
    unet.edit(path, (mixed, [, , values]) => {
      const kept = mixed.shape[0]! / parts * (parts - 1);
      return cat([mixed.slice(0, 0, kept), values!.slice(0, kept)]);
    })
  );
}

if (import.meta.main) {
  const { prompt, model, seed } = readArguments(
    "scripts/examples/pag.ts [prompt]",
    "Draws a prompt with perturbed attention guidance: pag.png.",
    {
      prompt: option.text("what is to be drawn", "a nice flower"),
      model: option.model("of Stable Diffusion", "emoji-diffusion"),
      seed: option.seed(),
    },
  );
  const [guidanceScale, pagScale] = [4, 2];
  using _device = await openDevice();
  using pipeline = await StableDiffusionPipeline.fromPretrained(model);
  const { unet, vae, scheduler } = pipeline.parts;
  const { promptEmbeds, negativePromptEmbeds } = await pipeline.encodePrompt({ prompt });
  await Promise.all([unet.load(), vae.load()]);
  perturb(unet, 3);
  scheduler.setTimesteps(25);
  const noise = randn([1, unet.config.in_channels, ...unet.sampleSize], { generator: manualSeed(seed) });
  let latents = noise.mul(scheduler.initNoiseSigma);
  for await (const t of progress(scheduler.timesteps)) {
    const input = scheduler.scaleModelInput(cat([latents, latents, latents]), t);
    const told = cat([negativePromptEmbeds, promptEmbeds, promptEmbeds]);
    const [uncond, cond, blind] = unet.forward(input, t, told).sample.chunk(3);
    const away = cond!.sub(blind!).mul(pagScale);
    latents = scheduler.step(uncond.lerp(cond!, guidanceScale).add(away), t, latents).prevSample;
  }
  const image = vae.decode(vae.unscaleLatents(latents)).sample.div(2).add(0.5).clamp(0, 1);
  await savePng("pag.png", image, { prompt, model, seed });
}
