/**
 * Draws pictures from words, with any pipeline that is built. `--help` lists the options.
 * Run: deno task start "a nice flower"
 */
import "./plain_errors.ts";
import { loadingBar, loadPng, manualSeed, openDevice, type Recipe, savePng } from "denoise";
import {
  DDIMPipeline,
  DDPMPipeline,
  DiffusionPipeline,
  maskOf,
  pictureOf,
  StableDiffusionImg2ImgPipeline,
  StableDiffusionInpaintPipeline,
  StableDiffusionPipeline,
  type StableDiffusionRunOptions,
  StableDiffusionXLImg2ImgPipeline,
  StableDiffusionXLPipeline,
} from "denoise/pipelines";
import { schedulerClasses } from "denoise/schedulers";
import { defaults, help, readOptions } from "./generate/options.ts";

const options = readOptions(Deno.args);
if (options.help) {
  console.log(help);
  Deno.exit(0);
}
const recipe: Recipe = options.replay ? await replayed(options.replay) : {};
const settings = { ...defaults, ...recipe, ...options };
const embedded = settings.model === defaults.model;
const model = embedded ? `${import.meta.dirname}/../${defaults.model}` : settings.model;

const phases: [string, number][] = [];
using device = await phase("set-up", openDevice());
using pipeline = await phase(
  "load",
  DiffusionPipeline.fromPretrained(model, { dtype: settings.dtype, onProgress: loadingBar() }),
);
const guidance = settings.guidance ?? (embedded ? 4.5 : undefined); // the embedded model's best
const seeds = Array.from({ length: settings.count }, (_, i) => settings.seed + i);
// Software drivers compile a kernel when it first runs, so a first step shows what that takes.
const fewest = settings.image ? Math.ceil(1 / (settings.strength ?? 0.3)) : 1; // a part of the steps changes a picture
if (device.traits.software) await phase("compile", draw({ numInferenceSteps: fewest, progress: false }));
const { images } = await phase(
  "sample",
  draw({ numInferenceSteps: settings.steps, progress: { label: "sample" } }),
);

for (const [i, seed] of seeds.entries()) {
  const path = seeds.length === 1 ? settings.out : settings.out.replace(/(\.png)?$/i, `-${i + 1}.png`);
  const { prompt, negative, model, scheduler, steps, size, image, strength, mask } = settings;
  const made = { prompt, negative, model, scheduler, steps, guidance, size, image, strength, mask, seed };
  await phase("save", savePng(path, images.slice(0, i, i + 1), made));
  console.log(path);
}
console.log(`Drawn by ${device.describe()}`);
console.log(phases.map(([name, ms]) => `${name} ${(ms / 1000).toFixed(1)} s`).join(", "));

/** Runs the pipeline: from a picture if one is given, from the prompt where it takes one, else from noise alone. */
async function draw(how: Pick<StableDiffusionRunOptions, "numInferenceSteps" | "progress">) {
  const seeded = { ...how, generator: seeds.map((seed) => manualSeed(seed)) };
  if (pipeline instanceof DDPMPipeline || pipeline instanceof DDIMPipeline) {
    return await pipeline.run({ ...seeded, batchSize: settings.count });
  }
  const { parts } = pipeline;
  if (settings.scheduler) {
    parts.scheduler = schedulerClasses[settings.scheduler].fromConfig(parts.scheduler.config);
  }
  const [width, height] = settings.size?.split("x").map(Number) ?? [];
  const run = {
    ...seeded,
    prompt: settings.prompt,
    negativePrompt: settings.negative,
    numImagesPerPrompt: settings.count,
    guidanceScale: guidance,
  };
  if (!settings.image) {
    const fromWords = "textEncoder2" in parts
      ? new StableDiffusionXLPipeline(parts)
      : new StableDiffusionPipeline(parts);
    return await fromWords.run({ ...run, width, height });
  }
  const image = pictureOf(await loadPng(settings.image));
  const change = { ...run, image, strength: settings.strength };
  if ("textEncoder2" in parts) return await new StableDiffusionXLImg2ImgPipeline(parts).run(change);
  if (!settings.mask) return await new StableDiffusionImg2ImgPipeline(parts).run(change);
  return await new StableDiffusionInpaintPipeline(parts).run({
    ...change,
    mask: maskOf(await loadPng(settings.mask)),
  });
}

/** The settings with which a picture was made. */
async function replayed(path: string): Promise<Recipe> {
  const { recipe } = await loadPng(path);
  if (recipe) return recipe;
  throw new Error(
    `Cannot replay ${path}: expected a picture that Denoise made, got one without its settings`,
  );
}

/** Waits for a phase and keeps its time. */
async function phase<T>(name: string, work: Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await work;
  phases.push([name, performance.now() - start]);
  return result;
}
