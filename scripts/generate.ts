/**
 * Draws pictures from words, with any pipeline that is built. `--help` lists the options.
 * Run: deno task start "a nice flower"
 */
import "./plain_errors.ts";
import { loadingBar, openDevice, savePng } from "denoise";
import { DiffusionPipeline } from "denoise/pipelines";
import { draw, seedsOf } from "./generate/draw.ts";
import { readLora } from "./generate/lora.ts";
import { defaults, help, readOptions, type Settings } from "./generate/options.ts";
import { readPreview } from "./generate/preview.ts";
import { recipeOf, replayed } from "./generate/recipe.ts";
import { planMemoryOf } from "./inspect/plan.ts";

const options = readOptions(Deno.args);
if (options.help) {
  console.log(help);
  Deno.exit(0);
}
const settings = {
  ...defaults,
  ...options.replay ? await replayed(options.replay) : {},
  ...options,
} as Settings; // an option that was not said has no key
const embedded = settings.model === defaults.model;
if (embedded) settings.guidance ??= 4.5; // its best
const model = embedded ? `${import.meta.dirname}/../${defaults.model}` : settings.model;
const loras = settings.lora?.map(readLora) ?? [];
const preview = settings.preview === undefined ? undefined : readPreview(settings.preview);
const onProgress = loadingBar();
const { dtype, memory, quantize, base, config } = settings;

if (settings.plan) {
  const [width, height] = settings.size?.split("x").map(Number) ?? [];
  const { count: batch, steps } = settings;
  console.log(await planMemoryOf(model, { memory, dtype, base, config, width, height, batch, steps }));
  Deno.exit(0);
}

const phases: [string, number][] = [];
using device = await phase("set-up", openDevice());
using pipeline = await phase(
  "load",
  DiffusionPipeline.fromPretrained(model, { dtype, memory, quantize, base, config, onProgress }),
);
for (const { path, scale } of loras) {
  await phase("lora", pipeline.loadLoraWeights(path, { scale, onProgress }));
}
// Software drivers compile a kernel when it first runs, so a first step shows what that takes.
const fewest = settings.image ? Math.ceil(1 / (settings.strength ?? 0.3)) : 1; // a part of the steps changes a picture
if (device.traits.software) {
  await phase("compile", draw(pipeline, settings, { numInferenceSteps: fewest, progress: false }));
}
const images = await phase(
  "sample",
  draw(pipeline, settings, { numInferenceSteps: settings.steps!, progress: { label: "sample" }, preview }),
);

const seeds = seedsOf(settings);
for (const [i, seed] of seeds.entries()) {
  const path = seeds.length === 1 ? settings.out : settings.out!.replace(/(\.png)?$/i, `-${i + 1}.png`);
  await phase("save", savePng(path, images.slice(0, i, i + 1), recipeOf(settings, seed)));
  console.log(path);
}
console.log(`Drawn by ${device.describe()}`);
console.log(phases.map(([name, ms]) => `${name} ${(ms / 1000).toFixed(1)} s`).join(", "));

/** Waits for a phase and keeps its time. */
async function phase<T>(name: string, work: Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await work;
  phases.push([name, performance.now() - start]);
  return result;
}
