/**
 * Draws a prompt with FLUX.1 (Black Forest Labs 2024; a flow as by Esser et al. 2024,
 * https://arxiv.org/abs/2403.03206) in the style that a LoRA adds (Hu et al. 2021,
 * https://arxiv.org/abs/2106.09685). Repositories may be folders, and a LoRA a file.
 * Run: deno run -A scripts/flux_lora.ts [repo] [prompt] [seed] [--lora REPO] [--size 1024x1024] [--steps 28]
 *      deno run -A scripts/flux_lora.ts black-forest-labs/FLUX.1-dev "MJ v6, a nice flower" 0
 */
import "./plain_errors.ts";
import { parseArgs } from "node:util";
import { loadingBar, manualSeed, openDevice, savePng } from "denoise";
import { DiffusionPipeline } from "denoise/pipelines";

const { values: { lora, size, steps }, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    lora: { type: "string", default: "strangerzonehf/Flux-Midjourney-Mix2-LoRA" },
    size: { type: "string", default: "1024x1024" },
    steps: { type: "string", default: "28" },
  },
});
const [repo = "black-forest-labs/FLUX.1-dev", prompt = "MJ v6, a nice flower", seed = "0"] = positionals;
if (!/^\d+x\d+$/.test(size)) throw new TypeError(`Cannot take --size ${size}: expected e.g. 1024x1024`);
const [width, height] = size.split("x").map(Number);

using _device = await openDevice();
using pipeline = await DiffusionPipeline.fromPretrained(repo, { onProgress: loadingBar() });
await pipeline.loadLoraWeights(lora);
const { images } = await pipeline.run({
  prompt,
  width,
  height,
  numInferenceSteps: Number(steps),
  generator: manualSeed(Number(seed)),
});

await savePng("flux_lora.png", images, {
  prompt,
  model: repo,
  lora: [lora],
  steps: Number(steps),
  size,
  seed: Number(seed),
});
console.log("flux_lora.png");
