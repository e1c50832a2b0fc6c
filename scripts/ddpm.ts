/**
 * Draws a picture from noise with DDPM (Ho et al. 2020, Algorithm 2, https://arxiv.org/abs/2006.11239):
 * model, scheduler and loop are in your hands.
 * Run: deno run -A scripts/ddpm.ts [repo or folder] [seed] [steps]
 *      deno run -A scripts/ddpm.ts google/ddpm-celebahq-256 0 50
 */
import "./plain_errors.ts";
import { loadingBar, manualSeed, openDevice, progress, randn, savePng } from "denoise";
import { UNet2DModel } from "denoise/models";
import { DDPMScheduler } from "denoise/schedulers";

const embedded = `${import.meta.dirname}/../models/emoji-ddpm`;
const [repo = embedded, seed = "0", steps = "50"] = Deno.args;
const generator = manualSeed(Number(seed));

using _device = await openDevice();
using unet = await UNet2DModel.fromPretrained(repo, { subfolder: "unet", onProgress: loadingBar() });
const scheduler = await DDPMScheduler.fromPretrained(repo);
scheduler.setTimesteps(Number(steps));

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
  steps: Number(steps),
  seed: Number(seed),
});
console.log("ddpm.png");
