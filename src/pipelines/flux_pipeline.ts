import { expectSingleFile } from "../io/single_file/options.ts";
import { randn } from "../random/mod.ts";
import { type FluxParts, loadPartsFlux } from "./flux_parts.ts";
import {
  beginFlux,
  drawFlux,
  fluxGuidance,
  type FluxOptions,
  type FluxOutput,
  fluxSize,
  startFlux,
} from "./flux_run.ts";
import type { SizeOptions } from "./latent_size.ts";
import { LoraPipeline } from "./lora.ts";
import type { PipelineOptions } from "./pipeline.ts";
import { expectRunOptions } from "./run_options.ts";

/** Options of `FluxPipeline.run`; guidanceScale is 3.5 by default, and sides are 1024 pixels. */
export interface FluxRunOptions extends FluxOptions, SizeOptions {}

/** Pictures from texts by FLUX.1, a transformer that follows a flow from noise (Black Forest Labs, 2024). */
export class FluxPipeline extends LoraPipeline<FluxParts> {
  /** Opens the parts of a folder or a repository, e.g. "black-forest-labs/FLUX.1-dev". */
  static async fromPretrained<Class extends new (parts: FluxParts) => FluxPipeline>(
    this: Class,
    pathOrRepo: string,
    options: PipelineOptions = {},
  ): Promise<InstanceType<Class>> {
    return new this(await loadPartsFlux(pathOrRepo, options)) as InstanceType<Class>;
  }

  /** Opens the parts of one file in its authors' layout; `base` has what it lacks, e.g. the tokenizers. */
  static async fromSingleFile<Class extends new (parts: FluxParts) => FluxPipeline>(
    this: Class,
    path: string,
    options: PipelineOptions = {},
  ): Promise<InstanceType<Class>> {
    return new this(await loadPartsFlux(expectSingleFile(path), options)) as InstanceType<Class>;
  }

  /** Draws pictures of prompts. */
  async run(runOptions: FluxRunOptions): Promise<FluxOutput> {
    expectRunOptions("FluxPipeline", runOptions);
    const guidanceScale = fluxGuidance(this.parts, runOptions.guidanceScale, 3.5);
    const options = { ...runOptions, guidanceScale };
    const { vae, scheduler } = this.parts;
    const size = fluxSize(this.parts, options.height, options.width);
    const run = await beginFlux(this.parts, options, size);
    const shape = [run.B, vae.config.latent_channels, ...size];
    const start = await startFlux(this.parts, run, options, () => randn(shape, options));
    return await drawFlux(this.parts, run, { start, timesteps: scheduler.timesteps }, options);
  }
}
