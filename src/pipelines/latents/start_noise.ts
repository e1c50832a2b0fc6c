import { formatShape, sameNumbers } from "../../core/shape.ts";
import { randn, type RandomOptions } from "../../random/mod.ts";
import type { Scheduler } from "../../schedulers/mod.ts";
import { scope, type Tensor } from "../../tensor/mod.ts";

/** What a loop begins with where nothing is changed. */
export interface StartNoiseOptions {
  /** The noise to begin with. [B, C, H / 8, W / 8] */
  latents?: Tensor | undefined;
}

/** Noise as a scheduler begins with it: drawn, or given in the same shape. */
export function startNoise(
  scheduler: Scheduler,
  shape: readonly number[],
  { latents, generator }: StartNoiseOptions & RandomOptions,
): Tensor {
  using made = scope();
  const noise = latents ?? randn(shape, { generator });
  if (!sameNumbers(noise.shape, shape)) {
    throw new RangeError(
      `Cannot draw: expected latents ${formatShape(shape)}, got ${formatShape(noise.shape)}`,
    );
  }
  return made.keep(noise.mul(scheduler.initNoiseSigma));
}
