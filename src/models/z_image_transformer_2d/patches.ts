import type { Shape } from "../../core/shape.ts";
import type { Tensor } from "../../tensor/mod.ts";
import type { PatchSize } from "./config.ts";

/** Shape [B, C, F, H, W] of latents, of which pictures [B, C, H, W] have one frame. */
export function framesOf({ shape }: Pick<Tensor, "shape">): Shape<5> {
  if (shape.length === 5) return shape as Shape<5>;
  const [B, C, H, W] = shape as Shape<4>;
  return [B, C, 1, H, W];
}

/** Tokens along frames, rows and columns of latents. */
export function gridOf(x: Pick<Tensor, "shape">, [p, f]: PatchSize): Shape<3> {
  const [, , F, H, W] = framesOf(x);
  return [F / f, H / p, W / p];
}

/**
 * Latents as tokens of a size, values in the order (frame, row, column, channel): channels last, where FLUX.1 has
 * them first. x [B, C, F, H, W] or [B, C, H, W] → [B, F/f · H/p · W/p, f · p² · C]
 */
export function patchify(x: Tensor, [p, f]: PatchSize): Tensor {
  const [B, C, F, H, W] = framesOf(x);
  const channelsLast = x.reshape([B, C, F, H, W]).permute([0, 2, 3, 4, 1]);
  return channelsLast.reshape([B * F / f, f, H / p, p, W / p, p * C]).permute([0, 2, 4, 1, 3, 5])
    .reshape([B, (F / f) * (H / p) * (W / p), f * p * p * C]);
}

/** The reverse: latents of a shape, [B, C, F, H, W] or [B, C, H, W]. */
export function unpatchify(tokens: Tensor, shape: Shape, [p, f]: PatchSize): Tensor {
  const [B, C, F, H, W] = framesOf({ shape });
  return tokens.reshape([B * F / f, H / p, W / p, f, p, p * C]).permute([0, 3, 1, 4, 2, 5])
    .reshape([B, F, H, W, C]).permute([0, 4, 1, 2, 3]).reshape(shape);
}
