/**
 * Draws a first picture with the model that ships with the project, offline, and says how long each phase took.
 * Run: deno task start [seed]
 */
import "./plain_errors.ts";
import { loadPng, manualSeed, openDevice, savePng, zeros } from "denoise";
import { DDPMPipeline } from "denoise/pipelines";

const model = "models/emoji-ddpm";
const path = "face.png";
const seed = Number(Deno.args[0] ?? 0);
const steps = 50;

const phases: Record<string, number> = {};
const device = await phase("set-up", openDevice());
const pipeline = await phase("load", DDPMPipeline.fromPretrained(`${import.meta.dirname}/../${model}`));
const { unet } = pipeline; // drivers compile a kernel when it first runs
await phase(
  "compile",
  unet.forward(zeros([1, unet.config.in_channels, ...unet.sampleSize]), 0).sample.data(),
);
const { images } = await phase(
  "sample",
  pipeline.run({ numInferenceSteps: steps, generator: manualSeed(seed), progress: { label: "sample" } }),
);
await phase("save", savePng(path, images, { model, scheduler: "DDPMScheduler", steps, seed }));

const { width, height } = await loadPng(path);
console.log(`\n${Deno.cwd()}/${path} (${width} x ${height}), drawn by ${device.describe()}`);
console.log(Object.entries(phases).map(([name, ms]) => `${name} ${(ms / 1000).toFixed(1)} s`).join(", "));
pipeline[Symbol.dispose]();
device[Symbol.dispose]();

/** Waits for a phase and keeps its time. */
async function phase<T>(name: string, work: Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await work;
  phases[name] = performance.now() - start;
  return result;
}
