/**
 * Draws a prompt with FLUX.1 (Black Forest Labs 2024; a flow as by Esser et al. 2024,
 * https://arxiv.org/abs/2403.03206) in the style that a LoRA adds (Hu et al. 2021,
 * https://arxiv.org/abs/2106.09685). Repositories may be folders, and a LoRA a file.
 * Run: deno run -A scripts/flux_lora.ts "MJ v6, a nice flower" --size 1024x1024 --steps 28
 */
import "./plain_errors.ts";
import "./command_line/shown_only.ts";
import { loadingBar, manualSeed, openDevice, savePng, waiting } from "denoise";
import { DiffusionPipeline } from "denoise/pipelines";
import { readArguments } from "./command_line/arguments.ts";
import * as option from "./command_line/options.ts";

const { prompt, model: repo, lora, size: { width, height }, steps, seed } = readArguments(
  "scripts/flux_lora.ts [prompt]",
  "Draws a prompt with FLUX.1 in the style of a LoRA: flux_lora.png.",
  {
    prompt: option.text("what is to be drawn", "MJ v6, a nice flower"),
    model: {
      ...option.text("a folder or a repository", "black-forest-labs/FLUX.1-dev"),
      takes: "PATH_OR_REPO",
    },
    lora: { ...option.text("its style", "strangerzonehf/Flux-Midjourney-Mix2-LoRA"), takes: "PATH_OR_REPO" },
    size: option.size("in pixels", { width: 1024, height: 1024 }),
    steps: option.count("of the scheduler", 28),
    seed: option.seed(),
  },
);

using _device = await openDevice();
using pipeline = await DiffusionPipeline.fromPretrained(repo, { onProgress: loadingBar() });
await pipeline.loadLoraWeights(lora);
const { images } = await pipeline.run({
  prompt,
  width,
  height,
  numInferenceSteps: steps,
  generator: manualSeed(seed),
});

const recipe = { prompt, model: repo, lora: [lora], steps, size: `${width}x${height}`, seed };
await waiting("decoding", savePng("flux_lora.png", images, recipe));
console.log("flux_lora.png");
