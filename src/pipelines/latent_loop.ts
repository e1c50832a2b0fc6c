import type { AutoencoderKL, DecodeCheckedOptions } from "../models/mod.ts";
import type { RandomOptions } from "../random/mod.ts";
import type { Scheduler, StepOptions } from "../schedulers/mod.ts";
import { cat, scope, type Tensor } from "../tensor/mod.ts";
import { guide } from "./guidance.ts";
import { type PipelineOutput, type RunOptions, runSteps } from "./pipeline.ts";

/** Options of a loop in latent space. */
export interface LatentLoopOptions extends RunOptions {
  /** How closely the picture follows the prompt; 1 and less leaves guidance out. */
  guidanceScale?: number;
  /** How far the spread of guided predictions is brought back, 0 to 1. */
  guidanceRescale?: number;
  /** Of all noise; without one each run draws other pictures. */
  generator?: RandomOptions["generator"];
  /** Of DDIM: noise added in each step. */
  eta?: number;
}

/** What pipelines in latent space return. */
export interface LatentOutput extends PipelineOutput {
  /** What the pictures were decoded from. [B, C, H / 8, W / 8] */
  latents: Tensor;
}

/** What a loop calls. */
export interface LatentLoop {
  readonly scheduler: Scheduler;
  /** The model; under guidance its input holds the latents twice, the unconditional half first. */
  readonly predict: (input: Tensor, t: number) => Tensor;
  /** What becomes of the latents after the step of such a number. */
  readonly after?: (latents: Tensor, step: number) => Tensor;
}

/** Takes latents through the timesteps. Memory is that of two steps, however many there are. */
export async function denoise(
  start: Tensor,
  timesteps: readonly number[],
  { scheduler, predict, after }: LatentLoop,
  options: LatentLoopOptions & { guidanceScale: number },
): Promise<Tensor> {
  const { guidanceScale, guidanceRescale, generator, eta } = options;
  const stepOptions: StepOptions & { eta?: number } = { generator, eta };
  const guided = isGuided(guidanceScale);
  let latents = start;
  let number = 0;
  await runSteps(timesteps, options, (t) => {
    using step = scope(latents);
    const input = scheduler.scaleModelInput(guided ? cat([latents, latents]) : latents, t);
    const prediction = predict(input, t);
    const noisePred = guided ? guide(prediction, guidanceScale, guidanceRescale) : prediction;
    const { prevSample } = scheduler.step(noisePred, t, latents, stepOptions);
    return latents = step.keep(after ? after(prevSample, number++) : prevSample);
  });
  return latents;
}

/** Whether a model runs on the prompt and on the negative one. */
export function isGuided(guidanceScale: number): boolean {
  return guidanceScale > 1;
}

/** The pictures of latents, in [0, 1]. */
export async function decodeLatents(
  vae: AutoencoderKL,
  latents: Tensor,
  options: DecodeCheckedOptions,
): Promise<LatentOutput> {
  const { sample } = await vae.decodeChecked(vae.unscaleLatents(latents), options);
  return { images: sample.div(2).add(0.5).clamp(0, 1), latents }; // [-1, 1] to [0, 1]
}

/** Throws unless `value` is finite. */
export function expectNumber(name: string, value: number): void {
  if (!Number.isFinite(value)) throw new RangeError(`Cannot draw with ${name} ${value}: expected a number`);
}
