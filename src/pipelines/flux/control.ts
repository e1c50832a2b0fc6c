import { randn } from "../../random/mod.ts";
import { scope, type Tensor } from "../../tensor/mod.ts";
import { type ChangedSizeOptions, originalSize, readOriginal } from "../latents/init_image.ts";
import { packLatents } from "../latents/packing.ts";
import { withModels } from "../memory/acquire.ts";
import { ownRun } from "../run.ts";
import { FluxBase } from "./pipelines.ts";
import { beginRun, draw, type FluxOptions, type FluxOutput, startLatents } from "./run.ts";

/** Options of `FluxControlPipeline.run`; guidanceScale is 3.5 by default. Sides are those of the picture that controls. */
export interface FluxControlRunOptions extends FluxOptions, ChangedSizeOptions {
  /** Depth, edges or what else the model follows, in [0, 1]: one for all, or one for each that is drawn. [1 or B, 3, H, W] */
  controlImage: Tensor;
}

/** Pictures from texts that follow another, by FLUX.1 Depth or Canny, which see its latents beside their own. */
export class FluxControlPipeline extends FluxBase {
  /** Draws pictures. Random numbers go to the latents of the picture that controls first, for each row, then to the noise. */
  async run(options: FluxControlRunOptions): Promise<FluxOutput> {
    return await ownRun("FluxControlPipeline", this.parts, options, async (parts, options) => {
      const { controlImage, generator } = options;
      const { vae, scheduler } = parts;
      const { latent_channels: C } = vae.config;
      const multiple = 2 * vae.scaleFactor;
      const size = originalSize(controlImage, vae, options, multiple);
      const run = await beginRun(parts, options, size, { usualScale: 3.5, beside: 4 * C });
      const { B } = run;
      const { pixels, latents } = await readOriginal(controlImage, B, vae, options, multiple);
      const beside = await withModels(parts, [vae], options, () => {
        using made = scope(...(pixels ? [pixels] : []));
        const drawn = latents({ generator, rows: pixels?.shape[0] === 1 ? B : undefined });
        return made.keep(packLatents(drawn.expand([B, C, ...size])));
      });
      const start = await startLatents(parts, run, () => randn([B, C, ...size], { generator }));
      return await draw(parts, run, { start, timesteps: scheduler.timesteps, beside });
    });
  }
}
