import type { Tensor } from "../tensor/mod.ts";

/**
 * Classifier-free guidance (Ho & Salimans 2022) on a prediction whose first half is the unconditional one. With
 * `rescale` the result's spread is brought back towards that of the conditional half (Lin et al. 2023, section 3.4).
 * prediction [2 B, C, H, W] → [B, C, H, W].
 */
export function guide(prediction: Tensor, scale: number, rescale = 0): Tensor {
  const [uncond, cond] = prediction.chunk(2);
  const guided = uncond.lerp(cond, scale); // uncond + scale · (cond − uncond)
  if (rescale === 0) return guided;
  const corrected = guided.mul(deviation(cond).div(deviation(guided)));
  return guided.lerp(corrected, rescale);
}

/** Standard deviation of each image. x [B, C, H, W] → [B, 1, 1, 1]. */
function deviation(x: Tensor): Tensor {
  const axes = [1, 2, 3];
  const centered = x.sub(x.mean(axes, { keepdim: true }));
  return centered.mul(centered).mean(axes, { keepdim: true }).sqrt();
}
