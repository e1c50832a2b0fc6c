import { named, type Tensor } from "../../tensor/mod.ts";
import { type ZImageBlockOptions, type ZImageTransformerBlock, zImageTransformerBlock } from "./blocks.ts";
import { headWidth, patchKey, type PatchSize, type ZImageTransformer2DConfig } from "./config.ts";
import { captionTokens, imageTokens, timeEmbedding, type ZImageEmbedders } from "./embedders.ts";
import type { ZImageTransformer2DInputs } from "./inputs.ts";
import { padded } from "./layout.ts";
import { gridOf } from "./patches.ts";

/** Weights in front of the blocks over picture and caption together. */
export interface ZImageRefiners extends ZImageEmbedders {
  noise_refiner: ZImageTransformerBlock[];
  context_refiner: ZImageTransformerBlock[];
}

/** Tokens in front of all blocks. */
export type ZImageEmbedded = {
  /** Tokens of the latents, and learned ones that fill them up. [B, L, D] f32 */
  tokens: Tensor;
  /** The embedding of time. [B, T] f32 */
  temb: Tensor;
};

/** Tokens behind the blocks over the picture alone and those over the caption alone. */
export type ZImageRefined = {
  /** [B, L, D] f32 */
  image: Tensor;
  /** [B, N, D] f32 */
  caption: Tensor;
};

/** Options of all blocks. */
export function blockOptions(
  { cos, sin, mask }: Pick<ZImageTransformer2DInputs, "cos" | "sin" | "mask">,
  patch: PatchSize,
  w: ZImageEmbedders,
  config: ZImageTransformer2DConfig,
): ZImageBlockOptions {
  const { norm_eps: eps, n_heads: heads, qk_norm: qkNorm } = config;
  const dtype = w.all_x_embedder[patchKey(patch)]!.bias.dtype; // of activations: matrices may be stored smaller, biases never are
  return { heads, headWidth: headWidth(config), qkNorm, eps, dtype, cos, sin, mask };
}

/** Tokens of latents and of time. */
export function zImageEmbed(
  { x, time }: Pick<ZImageTransformer2DInputs, "x" | "time">,
  patch: PatchSize,
  w: ZImageEmbedders,
  config: ZImageTransformer2DConfig,
): ZImageEmbedded {
  const L = padded(gridOf(x, patch).reduce((a, b) => a * b));
  return { temb: timeEmbedding(time, w, config), tokens: imageTokens(x, patch, L, w, config) };
}

/** Blocks over the picture, and blocks over the caption; `added` gives what a ControlNet adds behind one of the first. */
export function zImageRefine(
  inputs: Omit<ZImageTransformer2DInputs, "x" | "time"> & ZImageEmbedded,
  patch: PatchSize,
  w: ZImageRefiners,
  config: ZImageTransformer2DConfig,
  added: (block: number) => Tensor | undefined = () => undefined,
): ZImageRefined {
  const { tokens, temb, capFeats, capPads, mask, cos, sin } = inputs;
  const options = blockOptions(inputs, patch, w, config);
  const L = tokens.shape[1]!;

  let image = tokens;
  const ofImage = { ...options, cos: tokensOf(cos, 0, L), sin: tokensOf(sin, 0, L), mask: undefined };
  for (let i = 0; i < config.n_refiner_layers; i++) {
    const block = () => zImageTransformerBlock(image, w.noise_refiner[i]!, temb, ofImage);
    image = named(`noise_refiner.${i}`, block, [image]);
    const sample = added(i);
    if (sample) image = image.add(sample);
  }

  let caption = captionTokens(capFeats, capPads, w, config);
  const ofCaption = { ...options, cos: tokensOf(cos, L), sin: tokensOf(sin, L), mask: mask?.slice(3, L) };
  for (let i = 0; i < config.n_refiner_layers; i++) {
    const block = () => zImageTransformerBlock(caption, w.context_refiner[i]!, undefined, ofCaption);
    caption = named(`context_refiner.${i}`, block, [caption]);
  }
  return { image, caption };
}

/** Rows of some tokens of a table [tokens, D / 2] or [B, tokens, D / 2]. */
export function tokensOf(table: Tensor, first: number, last?: number): Tensor {
  return table.slice(-2, first, last);
}
