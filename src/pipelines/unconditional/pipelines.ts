import { UNet2DModel } from "../../models/mod.ts";
import { firstNoise, type RandomOptions } from "../../random/mod.ts";
import { DDIMScheduler, DDPMScheduler, type Scheduler, type StepOutput } from "../../schedulers/mod.ts";
import { scope, type Tensor } from "../../tensor/mod.ts";
import type { PipelineOptions } from "../model_index.ts";
import { openParts } from "../open_parts.ts";
import { Pipeline } from "../pipeline.ts";
import { previewPixels, Previews } from "../previews/previews.ts";
import { ownRun, type PipelineOutput, type RunOptions, runSteps } from "../run.ts";
import { expectCount } from "../run_options.ts";

/** The parts of a pipeline that draws from noise alone. */
export interface UnconditionalParts<S extends Scheduler = Scheduler> {
  /** Predicts the noise. */
  unet: UNet2DModel;
  /** Steps from noise to pictures. */
  scheduler: S;
}

/** A pipeline that draws from noise alone. */
export abstract class UnconditionalPipeline<S extends Scheduler> extends Pipeline<UnconditionalParts<S>> {
  /** Takes over the model: it is freed with the pipeline. */
  constructor(unet: UNet2DModel, scheduler: S) {
    super({ unet, scheduler });
  }

  /** Predicts the noise. */
  get unet(): UNet2DModel {
    return this.parts.unet;
  }
}

/** Options of `DDPMPipeline.run`, with diffusers' defaults. */
export interface DDPMRunOptions extends RunOptions {
  /** Pictures drawn at once; 1 by default. */
  batchSize?: number | undefined;
  /** Runs of the model; 1000 by default. */
  numInferenceSteps?: number | undefined;
  /** Source of the first noise and of that of every step; without one each run draws other pictures. */
  generator?: RandomOptions["generator"] | undefined;
}

/** Unconditional pictures by denoising diffusion (Ho et al. 2020, https://arxiv.org/abs/2006.11239). */
export class DDPMPipeline extends UnconditionalPipeline<DDPMScheduler> {
  /** The model and the scheduler of a folder or a repository, e.g. "google/ddpm-celebahq-256". */
  static async open(pathOrRepo: string, options: PipelineOptions): Promise<[UNet2DModel, DDPMScheduler]> {
    const { unet, scheduler } = await openParts(pathOrRepo, options, PARTS);
    return [unet, DDPMScheduler.fromConfig(scheduler.config)];
  }

  /** Draws pictures from noise. */
  async run(options: DDPMRunOptions = {}): Promise<PipelineOutput> {
    return await ownRun("DDPMPipeline", this.parts, options, async (parts, options) => {
      const { numInferenceSteps = 1000, generator } = options;
      parts.scheduler.setTimesteps(numInferenceSteps);
      return await sample(parts, options, (out, t, x) => parts.scheduler.step(out, t, x, { generator }));
    });
  }
}

/** Options of `DDIMPipeline.run`, with diffusers' defaults. */
export interface DDIMRunOptions extends DDPMRunOptions {
  /** Runs of the model; 50 by default. */
  numInferenceSteps?: number | undefined;
  /** Noise added in each step: 0 none, 1 as much as DDPM. */
  eta?: number | undefined;
  /** Takes ε again from the clipped x̂_0, as GLIDE does; off by default. */
  useClippedModelOutput?: boolean | undefined;
}

/** Unconditional pictures in fewer steps (Song et al. 2020, https://arxiv.org/abs/2010.02502). */
export class DDIMPipeline extends UnconditionalPipeline<DDIMScheduler> {
  /** The model and the scheduler of a folder or a repository; the latter may be of another class there. */
  static async open(pathOrRepo: string, options: PipelineOptions): Promise<[UNet2DModel, DDIMScheduler]> {
    const { unet, scheduler } = await openParts(pathOrRepo, options, PARTS);
    return [unet, DDIMScheduler.fromConfig(scheduler.config)];
  }

  /** Draws pictures from noise. */
  async run(options: DDIMRunOptions = {}): Promise<PipelineOutput> {
    return await ownRun("DDIMPipeline", this.parts, options, async (parts, options) => {
      const { numInferenceSteps = 50, generator, eta, useClippedModelOutput } = options;
      parts.scheduler.setTimesteps(numInferenceSteps);
      const stepOptions = { generator, eta, useClippedModelOutput };
      return await sample(parts, options, (out, t, x) => parts.scheduler.step(out, t, x, stepOptions));
    });
  }
}

const PARTS = { unet: [UNet2DModel, "UNet2DModel"] } as const;

/** The loop of unconditional sampling. Memory is that of two steps, however many there are. */
async function sample(
  { unet, scheduler }: UnconditionalParts,
  options: DDPMRunOptions,
  step: (modelOutput: Tensor, t: number, x: Tensor) => StepOutput,
): Promise<PipelineOutput> {
  const { batchSize = 1, generator } = options;
  expectCount("batchSize", batchSize);
  using _unet = await unet.acquire({ signal: options.signal });
  const start = firstNoise([batchSize, unet.config.in_channels, ...unet.sampleSize], { generator });
  if (options.preview?.vae) {
    throw new TypeError(
      "Cannot show previews by an autoencoder: this model draws pixels; leave out preview.vae",
    );
  }
  const { timesteps } = scheduler;
  const previews = new Previews(options.preview, previewPixels);
  const x = await runSteps(start, timesteps, scheduler, options, (x, t, number, ends) => {
    using inner = scope(x);
    const output = step(unet.forward(x, t).sample, t, x);
    previews.offer(number, timesteps.length, () => output.predOriginalSample);
    return inner.keep(ends ? output.predOriginalSample : output.prevSample);
  }, previews);
  using made = scope(x);
  return { images: made.keep(x.div(2).add(0.5).clamp(0, 1)) }; // [-1, 1] to [0, 1]
}
