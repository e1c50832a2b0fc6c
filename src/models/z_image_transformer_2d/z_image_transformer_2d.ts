import type { ConfigSchema } from "../../io/config.ts";
import { cat, named, type Tensor, zeros } from "../../tensor/mod.ts";
import { type BlockParts, blockPaths } from "../runtime/block_parts.ts";
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
import {
  blockSamples,
  features,
  sampleName,
  type ZImageTransformer2DInputs,
  zImageTransformer2DInputs,
  type ZImageTransformer2DOptions,
} from "./inputs.ts";
import { LayoutCache, padded } from "./layout.ts";
import { gridOf, unpatchify } from "./patches.ts";
import {
  blockOptions,
  zImageEmbed,
  type ZImageEmbedded,
  zImageRefine,
  type ZImageRefined,
  type ZImageRefiners,
} from "./refiners.ts";

/** Weights of a ZImageTransformer2DModel. */
export interface ZImageTransformer2DWeights extends ZImageRefiners {
  layers: ZImageTransformerBlock[];
  /** By the size of tokens, e.g. "2-1". */
  all_final_layer: Record<string, ZImageFinalLayer>;
}

/**
 * Predicts the velocity of latents from noise to the picture that a caption describes, by the transformer of Z-Image
 * (Cai et al. 2025, https://arxiv.org/abs/2511.22699): first blocks over the picture and blocks over the caption, then
 * blocks over both, behind which a ControlNet may add. The result has the shape of the latents.
 */
export function zImageTransformer2D(
  inputs: ZImageTransformer2DInputs,
  patch: PatchSize,
  w: ZImageTransformer2DWeights,
  config: ZImageTransformer2DConfig,
): Tensor {
  const { x } = inputs;
  const key = patchKey(patch);
  const { in_channels, n_layers } = config;
  const embedded = zImageEmbed(inputs, patch, w, config);
  const { temb } = embedded;
  const { image, caption } = zImageRefine({ ...inputs, ...embedded }, patch, w, config);

  let joint = cat([image, caption], 1);
  const options = blockOptions(inputs, patch, w, config);
  for (let i = 0; i < n_layers; i++) {
    const block = () => zImageTransformerBlock(joint, w.layers[i]!, temb, options);
    joint = named(`layers.${i}`, block, [joint]);
    const sample = (inputs as Tensors)[sampleName(i)];
    if (sample) joint = joint.add(sample);
  }

  const last = joint.slice(1, 0, gridOf(x, patch).reduce((a, b) => a * b));
  const width = patch[0] ** 2 * patch[1] * in_channels;
  const final = () => zImageFinalLayer(last, w.all_final_layer[key]!, temb, { width, dtype: options.dtype });
  return unpatchify(named(`all_final_layer.${key}`, final, [last, temb]), x.shape, patch);
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
    const { inputs, patch } = this.inputs(x, t, capFeats, options, this.#layouts);
    const [key, fn] = this.skipping(patchKey(patch), (inputs) => this.#run(inputs, patch), options);
    const run = this.tapped(key, inputs, fn, options.taps);
    return { ...run.results, taps: run.taps };
  }

  /** The same call in parts, for step caches; their blocks are those over picture and caption. */
  blockParts(
    x: Tensor,
    t: number | readonly number[],
    capFeats: Tensor,
    options: ZImageTransformer2DOptions = {},
  ): BlockParts {
    const { inputs, patch } = this.inputs(x, t, capFeats, options, this.#layouts);
    const blocks = blockPaths({ layers: this.config.n_layers });
    return this.inBlocks(
      ...this.skipping(patchKey(patch), (inputs) => this.#run(inputs, patch), options),
      inputs,
      blocks,
    );
  }

  /**
   * Checks arguments of `forward`, as its ControlNet takes them too.
   * @internal
   */
  inputs(
    x: Tensor,
    t: number | readonly number[],
    capFeats: Tensor,
    options: ZImageTransformer2DOptions,
    layouts: LayoutCache,
  ): { inputs: ZImageTransformer2DInputs; patch: PatchSize } {
    const { inputs, patch } = zImageTransformer2DInputs(x, t, capFeats, options, layouts, this.config);
    const samples = blockSamples(options.controlnetBlockSamples ?? {}, inputs, patch, this.config);
    return { inputs: { ...inputs, ...samples }, patch };
  }

  /**
   * Tokens in front of all blocks, for its ControlNet, which shares these layers.
   * @internal
   */
  embed({ x, time }: ZImageTransformer2DInputs, patch: PatchSize): ZImageEmbedded {
    return this.traced(`embed ${patchKey(patch)}`, { x, time }, (inputs) => {
      return zImageEmbed(inputs as ZImageTransformer2DInputs, patch, this.#tree, this.config);
    });
  }

  /**
   * Tokens behind the blocks over picture and caption alone, for its ControlNet, which adds `samples` behind blocks
   * of noise_refiner, by their numbers.
   * @internal
   */
  refine(
    { x: _x, time: _time, ...inputs }: ZImageTransformer2DInputs,
    embedded: ZImageEmbedded,
    samples: Readonly<Record<number, Tensor>>,
    patch: PatchSize,
  ): ZImageRefined {
    const added = Object.entries(samples).map(([block, sample]) => [sampleName(Number(block)), sample]);
    const all = { ...inputs, ...embedded, ...Object.fromEntries(added) };
    return this.traced(`refine ${patchKey(patch)}`, all, (traced) => {
      const given = traced as typeof inputs & ZImageEmbedded;
      return zImageRefine(given, patch, this.#tree, this.config, (block) => traced[sampleName(block)]);
    });
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
    return {
      sample: zImageTransformer2D(inputs as ZImageTransformer2DInputs, patch, this.#tree, this.config),
    };
  }

  get #tree(): ZImageTransformer2DWeights {
    return this.weights.tree as ZImageTransformer2DWeights;
  }
}
