import type { UNet2DModel } from "../../models/mod.ts";
import { DDIMScheduler } from "../../schedulers/mod.ts";
import { type DDPMRunOptions, loadParts, sample } from "./ddpm.ts";
import type { PipelineOptions, PipelineOutput } from "../run.ts";
import { ownRun } from "../own_run.ts";
import { UnconditionalPipeline } from "./base.ts";

/** Options of `DDIMPipeline.run`, with diffusers' defaults. */
export interface DDIMRunOptions extends DDPMRunOptions {
  /** Runs of the model; 50 by default. */
  numInferenceSteps?: number | undefined;
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
    return await ownRun("DDIMPipeline", this.parts, options, async (parts, options) => {
      const { numInferenceSteps = 50, generator, eta, useClippedModelOutput } = options;
      parts.scheduler.setTimesteps(numInferenceSteps);
      const stepOptions = { generator, eta, useClippedModelOutput };
      return await sample(parts, options, (out, t, x) => parts.scheduler.step(out, t, x, stepOptions));
    });
  }
}
