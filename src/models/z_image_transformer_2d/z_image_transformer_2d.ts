import type { ConfigSchema } from "../../io/config.ts";
import { cat, named, type Tensor, zeros } from "../../tensor/mod.ts";
import { Model, type TapOptions, type Taps } from "../runtime/model.ts";
import type { Tensors } from "../runtime/traces.ts";
import {
  type ZImageFinalLayer,
  zImageFinalLayer,
  type ZImageTransformerBlock,
  zImageTransformerBlock,
} from "./blocks.ts";
import {
  headWidth,
  patchKey,
  type PatchSize,
  patchSizes,
  type ZImageTransformer2DConfig,
  zImageTransformer2DConfig,
} from "./config.ts";
import { captionTokens, imageTokens, timeEmbedding, type ZImageEmbedders } from "./embedders.ts";
import {
  features,
  type ZImageTransformer2DInputs,
  zImageTransformer2DInputs,
  type ZImageTransformer2DOptions,
} from "./inputs.ts";
import { LayoutCache, padded } from "./layout.ts";
import { gridOf, unpatchify } from "./patches.ts";

/** Weights of a ZImageTransformer2DModel. */
export interface ZImageTransformer2DWeights extends ZImageEmbedders {
  noise_refiner: ZImageTransformerBlock[];
  context_refiner: ZImageTransformerBlock[];
  layers: ZImageTransformerBlock[];
  /** By the size of tokens, e.g. "2-1". */
  all_final_layer: Record<string, ZImageFinalLayer>;
}

/**
 * Predicts the velocity of latents from noise to the picture that a caption describes, by the transformer of Z-Image
 * (Cai et al. 2025, https://arxiv.org/abs/2511.22699): first blocks over the picture and blocks over the caption, then
 * blocks over both. The result has the shape of the latents.
 */
export function zImageTransformer2D(
  { x, time, capFeats, capPads, mask, cos, sin }: ZImageTransformer2DInputs,
  patch: PatchSize,
  w: ZImageTransformer2DWeights,
  config: ZImageTransformer2DConfig,
): Tensor {
  const key = patchKey(patch);
  const dtype = w.all_x_embedder[key]!.bias.dtype; // of activations: matrices may be stored smaller, biases never are
  const { in_channels, norm_eps: eps, n_layers, n_refiner_layers, n_heads: heads, qk_norm: qkNorm } = config;
  const options = { heads, headWidth: headWidth(config), qkNorm, eps, dtype };
  const count = gridOf(x, patch).reduce((a, b) => a * b);
  const L = padded(count);
  const temb = timeEmbedding(time, w, config);

  let image = imageTokens(x, patch, L, w, config);
  const ofImage = { ...options, cos: tokensOf(cos, 0, L), sin: tokensOf(sin, 0, L) };
  for (let i = 0; i < n_refiner_layers; i++) {
    const block = () => zImageTransformerBlock(image, w.noise_refiner[i]!, temb, ofImage);
    image = named(`noise_refiner.${i}`, block, [image]);
  }

  let caption = captionTokens(capFeats, capPads, w, config);
  const ofCaption = { ...options, cos: tokensOf(cos, L), sin: tokensOf(sin, L), mask: mask?.slice(3, L) };
  for (let i = 0; i < n_refiner_layers; i++) {
    const block = () => zImageTransformerBlock(caption, w.context_refiner[i]!, undefined, ofCaption);
    caption = named(`context_refiner.${i}`, block, [caption]);
  }

  let joint = cat([image, caption], 1);
  const ofBoth = { ...options, cos, sin, mask };
  for (let i = 0; i < n_layers; i++) {
    const block = () => zImageTransformerBlock(joint, w.layers[i]!, temb, ofBoth);
    joint = named(`layers.${i}`, block, [joint]);
  }

  const last = joint.slice(1, 0, count);
  const width = patch[0] ** 2 * patch[1] * in_channels;
  const final = () => zImageFinalLayer(last, w.all_final_layer[key]!, temb, { width, dtype });
  return unpatchify(named(`all_final_layer.${key}`, final, [last, temb]), x.shape, patch);
}

/** Rows of some tokens of a table [tokens, D / 2] or [B, tokens, D / 2]. */
function tokensOf(table: Tensor, first: number, last?: number): Tensor {
  return table.slice(-2, first, last);
}

const SIDE = 128; // latents of a picture of 1024²
const CAPTION = 64; // tokens

/** Predicts the velocity of latents that a caption describes; diffusers' ZImageTransformer2DModel. */
export class ZImageTransformer2DModel extends Model<ZImageTransformer2DConfig> {
  /** Checks a config.json and fills in its defaults. */
  static readonly schema: ConfigSchema<ZImageTransformer2DConfig> = zImageTransformer2DConfig;
  /** Its folder in a pipeline. */
  static readonly folder: string = "transformer";

  readonly #layouts = new LayoutCache();

  /**
   * The velocity at time `t`, one for all rows or one a row: 1 − σ, from 0 at noise to 1 at the picture, so that pipelines
   * negate the result. Latents x [B, in_channels, H, W] or [B, in_channels, F, H, W], captions [B, N, cap_feat_dim], each
   * filled up behind its own `capLengths` tokens. The result of a row does not depend on the others. Blocks over the
   * caption run once while `capFeats` is the same tensor. → the shape of x
   */
  forward<const Path extends string = never>(
    x: Tensor,
    t: number | readonly number[],
    capFeats: Tensor,
    options: ZImageTransformer2DOptions & TapOptions<Path> = {},
  ): { sample: Tensor; taps: Taps<Path> } {
    const { inputs, patch } = zImageTransformer2DInputs(x, t, capFeats, options, this.#layouts, this.config);
    const run = this.tapped(patchKey(patch), inputs, (inputs) => this.#run(inputs, patch), options.taps);
    return { ...run.results, taps: run.taps };
  }

  /** Traces a picture of 1024² with a short caption, for each size of tokens. */
  prepare(): void {
    const { in_channels, cap_feat_dim } = this.config;
    for (const patch of patchSizes(this.config)) {
      const [side, frames] = patch;
      const sides = side * Math.ceil(SIDE / side);
      const x = zeros(frames === 1 ? [1, in_channels, sides, sides] : [1, in_channels, frames, sides, sides]);
      const table = zeros([padded((sides / side) ** 2) + CAPTION, headWidth(this.config) / 2]);
      const capFeats = zeros([1, CAPTION, cap_feat_dim]);
      const inputs = { x, time: features([0], this.config), capFeats, capPads: zeros([1, CAPTION, 1]) };
      this.dryRun(
        patchKey(patch),
        { ...inputs, cos: table, sin: table },
        (inputs) => this.#run(inputs, patch),
      );
    }
  }

  /** Gives back the memory of weights, activations and tables, after the work already recorded. */
  override unload(): void {
    this.#layouts.clear();
    super.unload();
  }

  #run(inputs: Tensors, patch: PatchSize): { sample: Tensor } {
    const w = this.weights.tree as ZImageTransformer2DWeights;
    return { sample: zImageTransformer2D(inputs as ZImageTransformer2DInputs, patch, w, this.config) };
  }
}
