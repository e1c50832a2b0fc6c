import { randn } from "../../random/mod.ts";
import { FluxBase } from "./base.ts";
import {
  beginFlux,
  drawFlux,
  fluxGuidance,
  type FluxOptions,
  type FluxOutput,
  fluxSize,
  startFlux,
} from "./run.ts";
import type { SizeOptions } from "../latents/size.ts";
import { ownRun } from "../own_run.ts";

/** Options of `FluxPipeline.run`; guidanceScale is 3.5 by default, and sides are 1024 pixels. */
export interface FluxRunOptions extends FluxOptions, SizeOptions {}

/** Pictures from texts by FLUX.1, a transformer that follows a flow from noise (Black Forest Labs, 2024). */
export class FluxPipeline extends FluxBase {
  /** Draws pictures of prompts. */
  async run(runOptions: FluxRunOptions): Promise<FluxOutput> {
    return await ownRun("FluxPipeline", this.parts, runOptions, async (parts, runOptions) => {
      const guidanceScale = fluxGuidance(parts, runOptions.guidanceScale, 3.5);
      const options = { ...runOptions, guidanceScale };
      const { vae, scheduler } = parts;
      const size = fluxSize(parts, options.height, options.width);
      const run = await beginFlux(parts, options, size);
      const shape = [run.B, vae.config.latent_channels, ...size];
      const start = await startFlux(
        parts,
        run,
        options,
        () => randn(shape, { generator: options.generator }),
      );
      return await drawFlux(parts, run, { start, timesteps: scheduler.timesteps }, options);
    });
  }
}
