/**
 * Draws a prompt with Stable Diffusion (Rombach et al. 2022, https://arxiv.org/abs/2112.10752) and
 * classifier-free guidance (Ho & Salimans 2022, https://arxiv.org/abs/2207.12598), as a loop in your hands.
 * Run: deno run -A scripts/stable_diffusion.ts "a nice flower" --model CompVis/stable-diffusion-v1-4 --seed 0
 */
import "./plain_errors.ts";
import "./command_line/shown_only.ts";
import { cat, loadingBar, manualSeed, openDevice, progress, randn, savePng, waiting } from "denoise";
import { AutoencoderKL, CLIPTextModel, UNet2DConditionModel } from "denoise/models";
import { PNDMScheduler, UniPCMultistepScheduler } from "denoise/schedulers";
import { CLIPTokenizer } from "denoise/tokenizers";
import { readArguments } from "./command_line/arguments.ts";
import * as option from "./command_line/options.ts";

const about = "Draws a prompt with Stable Diffusion, as a loop in your hands: stable_diffusion.png.";
const { prompt, model: repo, seed } = readArguments("scripts/stable_diffusion.ts [prompt]", about, {
  prompt: option.text("what is to be drawn", "a nice flower"),
  model: option.model("of Stable Diffusion, e.g. CompVis/stable-diffusion-v1-4", "emoji-diffusion"),
  seed: option.seed(),
});
const guidance = repo.endsWith("emoji-diffusion") ? 4.5 : 7.5;
const steps = 25;
const onProgress = loadingBar();

using _device = await openDevice();
const embeddings = await encode(["", prompt]); // the unconditional half first

using unet = await UNet2DConditionModel.fromPretrained(repo, { subfolder: "unet", onProgress });
const pndm = await PNDMScheduler.fromPretrained(repo, { subfolder: "scheduler" });
const scheduler = UniPCMultistepScheduler.fromConfig(pndm.config); // swapped in: fewer steps give as much
scheduler.setTimesteps(steps);

const noise = randn([1, unet.config.in_channels, ...unet.sampleSize], { generator: manualSeed(seed) });
let latents = noise.mul(scheduler.initNoiseSigma);

for await (const t of progress(scheduler.timesteps)) {
  const input = scheduler.scaleModelInput(cat([latents, latents]), t); // both halves in one pass
  const [uncond, cond] = unet.forward(input, t, embeddings).sample.chunk(2);
  const noisePred = uncond.lerp(cond, guidance); // uncond + scale · (cond − uncond)
  latents = scheduler.step(noisePred, t, latents).prevSample;
}

using vae = await AutoencoderKL.fromPretrained(repo, { subfolder: "vae", onProgress });
const image = vae.decode(vae.unscaleLatents(latents)).sample.div(2).add(0.5).clamp(0, 1); // [-1, 1] to [0, 1]
const name = "UniPCMultistepScheduler";
const recipe = { prompt, model: repo, scheduler: name, steps, seed, guidance, dtype: unet.dtype };
await waiting("decoding", savePng("stable_diffusion.png", image, recipe));
console.log("stable_diffusion.png");

/** Embeds the prompts; the text encoder gives its memory back on return. */
async function encode(prompts: string[]) {
  const tokenizer = await CLIPTokenizer.fromPretrained(repo, { subfolder: "tokenizer" });
  using encoder = await CLIPTextModel.fromPretrained(repo, { subfolder: "text_encoder", onProgress });
  return encoder.forward(tokenizer.encode(prompts).inputIds).lastHiddenState;
}
