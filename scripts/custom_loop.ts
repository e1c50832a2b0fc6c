/**
 * A loop that no pipeline has, as a start for experiments: a picture begins as one prompt and ends as another,
 * with guidance that fades as the noise does.
 * Run: deno run -A scripts/custom_loop.ts "a nice flower" "the sun" --seed 0
 */
import "./plain_errors.ts";
import "./command_line/shown_only.ts";
import { cat, manualSeed, openDevice, previewWriter, progress, randn, savePng, waiting } from "denoise";
import { AutoencoderKL, CLIPTextModel, UNet2DConditionModel } from "denoise/models";
import { preview } from "denoise/pipelines";
import { EulerDiscreteScheduler } from "denoise/schedulers";
import { CLIPTokenizer } from "denoise/tokenizers";
import { readArguments } from "./command_line/arguments.ts";
import * as option from "./command_line/options.ts";

const { prompt, other, model: repo, seed } = readArguments(
  "scripts/custom_loop.ts [prompt] [other]",
  "Draws a picture that begins as one prompt and ends as another: custom_loop.png.",
  {
    prompt: option.text("what the layout is of", "a nice flower"),
    other: option.text("what the details are of", "the sun"),
    model: option.model("of Stable Diffusion", "emoji-diffusion"),
    seed: option.seed(),
  },
);
const guidance = { noisy: 6, clean: 2 };

using _device = await openDevice();
const tokenizer = await CLIPTokenizer.fromPretrained(repo);
using encoder = await CLIPTextModel.fromPretrained(repo, { subfolder: "text_encoder" });
using unet = await UNet2DConditionModel.fromPretrained(repo, { subfolder: "unet" });
using vae = await AutoencoderKL.fromPretrained(repo, { subfolder: "vae" });
const scheduler = await EulerDiscreteScheduler.fromPretrained(repo);
scheduler.setTimesteps(30);

const { inputIds } = tokenizer.encode(["", prompt, other]);
const [empty, first, second] = encoder.forward(inputIds).lastHiddenState.chunk(3);
const noise = randn([1, unet.config.in_channels, ...unet.sampleSize], { generator: manualSeed(seed) });
let latents = noise.mul(scheduler.initNoiseSigma);
const show = previewWriter(); // in terminals that show pictures

for await (const t of progress(scheduler.timesteps)) {
  const noisiness = t / scheduler.timesteps[0]!; // 1 at the first step, near 0 at the last
  const wanted = second.lerp(first, noisiness); // the layout comes from one prompt, the details from the other
  const scale = guidance.clean + (guidance.noisy - guidance.clean) * noisiness;
  const input = scheduler.scaleModelInput(cat([latents, latents]), t);
  const [uncond, cond] = unet.forward(input, t, cat([empty, wanted])).sample.chunk(2);
  const { prevSample, predOriginalSample } = scheduler.step(uncond.lerp(cond, scale), t, latents);
  await show?.(await preview(predOriginalSample, vae));
  latents = prevSample;
}

const image = vae.decode(vae.unscaleLatents(latents)).sample.div(2).add(0.5).clamp(0, 1); // [-1, 1] to [0, 1]
await waiting("decoding", savePng("custom_loop.png", image, { prompt, other, model: repo, seed }));
console.log("custom_loop.png");
