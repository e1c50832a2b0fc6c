/**
 * Draws a prompt with Z-Image-Turbo (Cai et al. 2025, https://arxiv.org/abs/2511.22699), a transformer that
 * follows a flow from noise in eight steps, without guidance.
 * Run: deno run -A scripts/z_image.ts "a nice flower" --size 1024x1024
 */
import "./plain_errors.ts";
import "./command_line/shown_only.ts";
import { loadingBar, manualSeed, openDevice, progress, randn, savePng, scope } from "denoise";
import { AutoencoderKL, Qwen3Model, ZImageTransformer2DModel } from "denoise/models";
import { FlowMatchEulerDiscreteScheduler } from "denoise/schedulers";
import { Qwen2Tokenizer } from "denoise/tokenizers";
import { readArguments } from "./command_line/arguments.ts";
import * as option from "./command_line/options.ts";

const about = "Draws a prompt with Z-Image-Turbo: z_image.png.";
const { prompt, model: repo, size, steps, seed } = readArguments("scripts/z_image.ts [prompt]", about, {
  prompt: option.text("what is to be drawn", "a nice flower"),
  model: { ...option.text("a folder or a repository", "Tongyi-MAI/Z-Image-Turbo"), takes: "PATH_OR_REPO" },
  size: option.size("in pixels", { width: 1024, height: 1024 }),
  steps: option.count("of the scheduler", 8),
  seed: option.seed(),
});
const from = (subfolder: string) => ({ subfolder, onProgress: loadingBar() });

using _device = await openDevice();
const caption = await encode(prompt); // [1, N, 2560]

using transformer = await ZImageTransformer2DModel.fromPretrained(repo, from("transformer"));
const scheduler = await FlowMatchEulerDiscreteScheduler.fromPretrained(repo, { subfolder: "scheduler" });
scheduler.setTimesteps({ sigmas: Array.from({ length: steps }, (_, i) => 1 - i / steps) });

const shape = [1, transformer.config.in_channels, size.height / 8, size.width / 8];
let latents = randn(shape, { generator: manualSeed(seed) });
for await (const t of progress(scheduler.timesteps)) {
  using step = scope(latents);
  const velocity = transformer.forward(latents, 1 - t / 1000, caption).sample.neg(); // it points to the picture
  latents = step.keep(scheduler.step(velocity, t, latents).prevSample);
}

using vae = await AutoencoderKL.fromPretrained(repo, from("vae"));
const image = vae.decode(vae.unscaleLatents(latents)).sample.div(2).add(0.5).clamp(0, 1); // [-1, 1] to [0, 1]
const recipe = { prompt, model: repo, guidance: 0, steps, size: `${size.width}x${size.height}`, seed };
await savePng("z_image.png", image, recipe);
console.log("z_image.png");

/** The states in front of the text encoder's last layer, which gives its memory back on return. */
async function encode(content: string) {
  const tokenizer = await Qwen2Tokenizer.fromPretrained(repo);
  const chat = { addGenerationPrompt: true, enableThinking: true };
  const { inputIds } = tokenizer.encode(tokenizer.applyChatTemplate([{ role: "user", content }], chat));
  using encoder = await Qwen3Model.fromPretrained(repo, { ...from("text_encoder"), defer: true });
  encoder.limitTo([-2]);
  await encoder.load();
  return encoder.forward(inputIds, { hiddenStates: [-2] }).hiddenStates[0]!;
}
