/**
 * Draws a picture from noise with DDPM (Ho et al. 2020, Algorithm 2, https://arxiv.org/abs/2006.11239):
 * model, scheduler and loop are in your hands.
 * Run: deno run -A scripts/ddpm.ts google/ddpm-celebahq-256 --seed 0 --steps 50
 */
import "./plain_errors.ts";
import "./command_line/shown_only.ts";
import { loadingBar, manualSeed, openDevice, progress, randn, savePng } from "denoise";
import { UNet2DModel } from "denoise/models";
import { DDPMScheduler } from "denoise/schedulers";
import { readArguments } from "./command_line/arguments.ts";
import * as option from "./command_line/options.ts";

const { model: repo, seed, steps } = readArguments(
  "scripts/ddpm.ts [model]",
  "Draws a picture from noise with DDPM, as a loop in your hands: ddpm.png.",
  {
    model: option.model("of a UNet2DModel, e.g. google/ddpm-celebahq-256", "emoji-ddpm"),
    seed: option.seed(),
    steps: option.count("runs of the model", 50),
  },
);
const generator = manualSeed(seed);

using _device = await openDevice();
using unet = await UNet2DModel.fromPretrained(repo, { subfolder: "unet", onProgress: loadingBar() });
const scheduler = await DDPMScheduler.fromPretrained(repo);
scheduler.setTimesteps(steps);

let sample = randn([1, unet.config.in_channels, ...unet.sampleSize], { generator });

for await (const t of progress(scheduler.timesteps)) {
  const noisePred = unet.forward(sample, t).sample;
  sample = scheduler.step(noisePred, t, sample, { generator }).prevSample;
}

const image = sample.div(2).add(0.5).clamp(0, 1); // [-1, 1] to [0, 1]
await savePng("ddpm.png", image, {
  model: repo,
  revision: unet.revision,
  scheduler: "DDPMScheduler",
  dtype: unet.dtype,
  steps,
  seed,
});
console.log("ddpm.png");
