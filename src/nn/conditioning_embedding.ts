import { silu } from "../ops/mod.ts";
import type { Tensor } from "../tensor/mod.ts";
import { conv3x3, type Layer } from "./layers.ts";

/** Weights of a ControlNet's view of a picture. */
export interface ConditioningEmbedding {
  conv_in: Layer;
  blocks: readonly Layer[];
  conv_out: Layer;
}

/**
 * A picture's features, `width` of them, as a ControlNet adds them to latents: diffusers'
 * ControlNetConditioningEmbedding. Its sides are halved between each two of `channels`. x [B, C, f h, f w] → [B, width, h, w]
 */
export function conditioningEmbedding(
  x: Tensor,
  w: ConditioningEmbedding,
  channels: readonly number[],
  width: number,
): Tensor {
  x = silu(conv3x3(x, w.conv_in, channels[0]!));
  for (let i = 0; i < channels.length - 1; i++) {
    x = silu(conv3x3(x, w.blocks[2 * i]!, channels[i]!));
    x = silu(conv3x3(x, w.blocks[2 * i + 1]!, channels[i + 1]!, { stride: 2 }));
  }
  return conv3x3(x, w.conv_out, width);
}
