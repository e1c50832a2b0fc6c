const f32 = Math.fround;

/** How much image and noise x = α x_0 + σ ε holds. */
export interface Level {
  /** Weight of the image. */
  alpha: number;
  /** Weight of the noise. */
  sigma: number;
  /** λ = log α − log σ, half the log SNR. */
  lambda: number;
  /** Noise beside an image of unit scale, σ / α; of a flow σ itself. */
  ratio: number;
}

/**
 * The level of a σ beside an image of unit scale, or of a flow's.
 * Rounded as in torch, since differences of λ cancel.
 */
export function levelOf(ratio: number, flow: boolean): Level {
  const alpha = flow ? f32(1 - ratio) : f32(1 / f32(Math.sqrt(f32(f32(ratio * ratio) + 1))));
  const sigma = flow ? ratio : f32(ratio * alpha);
  return { alpha, sigma, lambda: f32(f32(Math.log(alpha)) - f32(Math.log(sigma))), ratio };
}
