import { UNet2DModel } from "../../models/mod.ts";
import { randn, type RandomOptions } from "../../random/mod.ts";
import { DDPMScheduler, schedulerClasses, type StepOutput } from "../../schedulers/mod.ts";
import { scope, type Tensor } from "../../tensor/mod.ts";
import { openPart } from "../open_parts.ts";
import {
  expectComponent,
  expectCount,
  type PipelineOptions,
  type PipelineOutput,
  readIndex,
  type RunOptions,
  runSteps,
} from "../run.ts";
import { previewPixels, Previews } from "../previews/previews.ts";
import { memoryBudget } from "../memory/residency.ts";
import { ownRun } from "../own_run.ts";
import { type UnconditionalParts, UnconditionalPipeline } from "./base.ts";

/** Options of `DDPMPipeline.run`, with diffusers' defaults. */
export interface DDPMRunOptions extends RunOptions {
  /** Pictures drawn at once; 1 by default. */
  batchSize?: number | undefined;
  /** Runs of the model; 1000 by default. */
  numInferenceSteps?: number | undefined;
  /** Of the first noise and of that of every step; without one each run draws other pictures. */
  generator?: RandomOptions["generator"] | undefined;
}

/** Unconditional pictures by denoising diffusion (Ho et al. 2020, https://arxiv.org/abs/2006.11239). */
export class DDPMPipeline extends UnconditionalPipeline<DDPMScheduler> {
  /** Loads the model and the scheduler of a folder or a repository, e.g. "google/ddpm-celebahq-256". */
  static async fromPretrained<
    Class extends new (unet: UNet2DModel, scheduler: DDPMScheduler) => DDPMPipeline,
  >(
    this: Class,
    pathOrRepo: string,
    options: PipelineOptions = {},
  ): Promise<InstanceType<Class>> {
    const parts = await loadParts(pathOrRepo, options);
    return new this(parts.unet, DDPMScheduler.fromConfig(parts.config)) as InstanceType<Class>;
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

/** The model, and the scheduler's config, of an unconditional pipeline. */
export async function loadParts(
  pathOrRepo: string,
  options: PipelineOptions,
): Promise<{ unet: UNet2DModel; config: object }> {
  const index = await readIndex(pathOrRepo, options);
  expectComponent(index, "unet", ["UNet2DModel"]);
  const name = expectComponent(index, "scheduler", Object.keys(schedulerClasses));
  const source = { ...options, revision: index.commit ?? options.revision };
  const { config } = await schedulerClasses[name]!.fromPretrained(pathOrRepo, {
    ...source,
    subfolder: "scheduler",
  });
  const memory = await memoryBudget(options);
  const unet = await openPart(UNet2DModel, pathOrRepo, { ...source, subfolder: "unet", memory });
  return { unet, config };
}

/** The loop of unconditional sampling. Memory is that of two steps, however many there are. */
export async function sample(
  { unet, scheduler }: UnconditionalParts,
  options: DDPMRunOptions,
  step: (modelOutput: Tensor, t: number, x: Tensor) => StepOutput,
): Promise<PipelineOutput> {
  const { batchSize = 1, generator } = options;
  expectCount("batchSize", batchSize);
  using _unet = await unet.acquire({ signal: options.signal });
  const start = randn([batchSize, unet.config.in_channels, ...unet.sampleSize], { generator });
  const previews = new Previews(options.preview, previewPixels);
  const x = await runSteps(start, scheduler.timesteps, scheduler, options, (x, t, number) => {
    using inner = scope(x);
    const output = step(unet.forward(x, t).sample, t, x);
    previews.offer(number, () => output.predOriginalSample);
    return inner.keep(output.prevSample);
  }, previews);
  using made = scope(x);
  return { images: made.keep(x.div(2).add(0.5).clamp(0, 1)) }; // [-1, 1] to [0, 1]
}
