import type { Shape } from "../../core/shape.ts";
import type { Tensor } from "../../tensor/mod.ts";

/** The latents of 2×2 neighbours as one token, as FLUX takes them. [B, C, H, W] → [B, H/2 · W/2, 4 C] */
export function packLatents(latents: Tensor): Tensor {
  const [B, C, H, W] = latents.shape as Shape<4>;
  return latents.reshape([B, C, H / 2, 2, W / 2, 2]).permute([0, 2, 4, 1, 3, 5])
    .reshape([B, (H / 2) * (W / 2), 4 * C]);
}

/**
 * Packed latents as the autoencoder takes them, with their channels side by side in memory.
 * [B, h/2 · w/2, 4 C] → [B, C, h, w]
 */
export function unpackLatents(packed: Tensor, [h, w]: readonly [h: number, w: number]): Tensor {
  const [B, , width] = packed.shape as Shape<3>;
  const C = width / 4;
  return packed.reshape([B, h / 2, w / 2, C, 2, 2]).permute([0, 1, 4, 2, 5, 3]).reshape([B, h, w, C])
    .permute([0, 3, 1, 2]);
}
