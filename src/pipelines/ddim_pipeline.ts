import type { UNet2DModel } from "../models/mod.ts";
import type { RandomOptions } from "../random/mod.ts";
import { DDIMScheduler } from "../schedulers/mod.ts";
import { loadParts, sample } from "./ddpm_pipeline.ts";
import type { PipelineOptions, PipelineOutput, RunOptions } from "./pipeline.ts";
import { expectRunOptions } from "./run_options.ts";
import { ownRun } from "./own_run.ts";
import { UnconditionalPipeline } from "./unconditional_pipeline.ts";

/** Options of `DDIMPipeline.run`, with diffusers' defaults. */
export interface DDIMRunOptions extends RunOptions {
  /** Pictures drawn at once; 1 by default. */
  batchSize?: number | undefined;
  /** Runs of the model; 50 by default. */
  numInferenceSteps?: number | undefined;
  /** Of the first noise and of that of every step; without one each run draws other pictures. */
  generator?: RandomOptions["generator"] | undefined;
  /** Noise added in each step: 0 none, 1 as much as DDPM. */
  eta?: number | undefined;
  /** Takes ε anew from the clipped x̂_0, as GLIDE does; off by default. */
  useClippedModelOutput?: boolean | undefined;
}

/** Unconditional pictures in fewer steps (Song et al. 2020, https://arxiv.org/abs/2010.02502). */
export class DDIMPipeline extends UnconditionalPipeline<DDIMScheduler> {
  /** Loads the model of a folder or a repository; its scheduler may be of another class. */
  static async fromPretrained<
    Class extends new (unet: UNet2DModel, scheduler: DDIMScheduler) => DDIMPipeline,
  >(
    this: Class,
    pathOrRepo: string,
    options: PipelineOptions = {},
  ): Promise<InstanceType<Class>> {
    const parts = await loadParts(pathOrRepo, options);
    return new this(parts.unet, DDIMScheduler.fromConfig(parts.config)) as InstanceType<Class>;
  }

  /** Draws pictures from noise. */
  async run(options: DDIMRunOptions = {}): Promise<PipelineOutput> {
    expectRunOptions("DDIMPipeline", options);
    return await ownRun(this.parts, options, async ({ unet, scheduler }, options) => {
      const { batchSize = 1, numInferenceSteps = 50, generator, eta, useClippedModelOutput } = options;
      scheduler.setTimesteps(numInferenceSteps);
      const images = await sample(
        unet,
        batchSize,
        generator,
        scheduler,
        options,
        (out, t, x) => scheduler.step(out, t, x, { generator, eta, useClippedModelOutput }),
      );
      return { images };
    });
  }
}
