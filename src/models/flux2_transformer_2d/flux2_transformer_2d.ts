import type { ConfigSchema } from "../../io/config.ts";
import type { DType } from "../../core/dtype.ts";
import { project, type Projection } from "../../nn/layers.ts";
import { cat, named, type Tensor, zeros } from "../../tensor/mod.ts";
import { adaLayerNormContinuous } from "../flux_transformer_2d/blocks.ts";
import { PositionCache } from "../flux_transformer_2d/pos_embed.ts";
import { type BlockParts, blockPaths } from "../runtime/block_parts.ts";
import { Model, type TapOptions, type Taps } from "../runtime/model.ts";
import type { Tensors } from "../runtime/traces.ts";
import {
  type Flux2BlockOptions,
  type Flux2SingleTransformerBlock,
  flux2SingleTransformerBlock,
  type Flux2TransformerBlock,
  flux2TransformerBlock,
} from "./blocks.ts";
import { type Flux2Transformer2DConfig, flux2Transformer2DConfig, innerDim, mlpDim } from "./config.ts";
import {
  type Flux2Transformer2DInputs,
  flux2Transformer2DInputs,
  type Flux2Transformer2DOptions,
} from "./inputs.ts";
import { flux2Modulation, type Flux2ModulationWeights } from "./modulation.ts";

/** Weights of a Flux2Transformer2DModel. */
export interface Flux2Transformer2DWeights extends Flux2ModulationWeights {
  x_embedder: Projection;
  context_embedder: Projection;
  transformer_blocks: Flux2TransformerBlock[];
  single_transformer_blocks: Flux2SingleTransformerBlock[];
  proj_out: Projection;
}

/**
 * Predicts the velocity of a picture's latents that a prompt describes: the transformer of FLUX.2 (Black
 * Forest Labs 2025), diffusers' Flux2Transformer2DModel; products in `dtype`. hiddenStates [B, L, in_channels]
 * → [B, L, out_channels · patch_size²].
 */
export function flux2Transformer2D(
  inputs: Flux2Transformer2DInputs,
  w: Flux2Transformer2DWeights,
  config: Flux2Transformer2DConfig,
  dtype: DType,
): Tensor {
  const D = innerDim(config);
  const modulation = flux2Modulation(inputs, w, D);
  const options: Flux2BlockOptions = {
    heads: config.num_attention_heads,
    cos: inputs.cos,
    sin: inputs.sin,
    eps: config.eps,
    biases: false,
    mlp: mlpDim(config),
    dtype,
  };

  // The residual streams are f32: they outgrow f16, which diffusers cuts off at ±65504.
  const embed = (name: "x_embedder" | "context_embedder", x: Tensor) =>
    named(name, () => project(x.cast(dtype), w[name], D, { dtype: "f32" }), [x]);
  let streams: [Tensor, Tensor] = [
    embed("context_embedder", inputs.encoderHiddenStates),
    embed("x_embedder", inputs.hiddenStates),
  ];
  for (let i = 0; i < config.num_layers; i++) {
    const block = () => flux2TransformerBlock(streams, w.transformer_blocks[i]!, modulation, options);
    streams = named(`transformer_blocks.${i}`, block, streams);
  }

  let x = cat(streams, 1);
  for (let i = 0; i < config.num_single_layers; i++) {
    const weights = w.single_transformer_blocks[i]!;
    const block = () => flux2SingleTransformerBlock(x, weights, modulation.single, options);
    x = named(`single_transformer_blocks.${i}`, block, [x]);
  }

  const image = x.slice(1, inputs.encoderHiddenStates.shape[1]!);
  const lastNorm = () => adaLayerNormContinuous(image, modulation.out, dtype, config.eps);
  const normed = named("norm_out", lastNorm, [image, modulation.out]);
  const width = (config.out_channels ?? config.in_channels) * config.patch_size ** 2;
  return named("proj_out", () => project(normed, w.proj_out, width, { dtype: "f32" }), [normed]);
}

const IMAGE_TOKENS = 4096; // of a picture of 1024²
const TEXT_TOKENS = 512;

/** Predicts the velocity of a picture's latents that a prompt describes; diffusers' Flux2Transformer2DModel. */
export class Flux2Transformer2DModel extends Model<Flux2Transformer2DConfig> {
  /** Checks a config.json and fills in its defaults. */
  static readonly schema: ConfigSchema<Flux2Transformer2DConfig> = flux2Transformer2DConfig;
  /** Its folder in a pipeline. */
  static readonly folder: string = "transformer";

  readonly #positions = new PositionCache();

  /**
   * The model's output for packed latents [B, L, in_channels], behind which tokens of reference pictures may
   * stand, and the prompts' tokens, of which there may be any number. The output has rows for references too.
   */
  forward<const Path extends string = never>(
    hiddenStates: Tensor,
    options: Flux2Transformer2DOptions & TapOptions<Path>,
  ): { sample: Tensor; taps: Taps<Path> } {
    const inputs = flux2Transformer2DInputs(hiddenStates, options, this.#positions, this.config);
    const [key, fn] = this.skipping("forward", this.#run, options);
    const run = this.tapped(key, inputs, fn, options.taps);
    return { ...run.results, taps: run.taps };
  }

  /** The same call in parts, for step caches. */
  blockParts(hiddenStates: Tensor, options: Flux2Transformer2DOptions): BlockParts {
    const inputs = flux2Transformer2DInputs(hiddenStates, options, this.#positions, this.config);
    const { num_layers, num_single_layers } = this.config;
    const blocks = blockPaths({
      transformer_blocks: num_layers,
      single_transformer_blocks: num_single_layers,
    });
    return this.inBlocks(...this.skipping("forward", this.#run, options), inputs, blocks);
  }

  /** Traces a picture of 1024² and a prompt of 512 tokens. */
  prepare(): void {
    const { in_channels, joint_attention_dim, attention_head_dim, timestep_guidance_channels } = this.config;
    const tables = zeros([TEXT_TOKENS + IMAGE_TOKENS, attention_head_dim / 2]);
    const numbers = zeros([1, timestep_guidance_channels]);
    this.dryRun("forward", {
      hiddenStates: zeros([1, IMAGE_TOKENS, in_channels]),
      encoderHiddenStates: zeros([1, TEXT_TOKENS, joint_attention_dim]),
      cos: tables,
      sin: tables,
      time: numbers,
      ...(this.config.guidance_embeds ? { guidance: numbers } : {}),
    }, this.#run);
  }

  /** Gives back the memory of weights, activations and tables, after the work already recorded. */
  override unload(): void {
    this.#positions.clear();
    super.unload();
  }

  #run = (inputs: Tensors): { sample: Tensor } => ({
    sample: flux2Transformer2D(
      inputs as Flux2Transformer2DInputs,
      this.weights.tree as unknown as Flux2Transformer2DWeights,
      this.config,
      this.dtype,
    ),
  });
}
