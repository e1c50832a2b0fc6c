import type { z } from "zod";
import { adaLayerNormContinuous } from "./norms.ts";
import { type FluxSingleTransformerBlock, fluxSingleTransformerBlock } from "./single_transformer_block.ts";
import type { FluxTimeText } from "./time_text_embed.ts";
import { type FluxTransformerBlock, fluxTransformerBlock } from "./transformer_block.ts";
import { dense, type Layer } from "../../nn/layers.ts";
import { cat, named, scope, type Tensor, zeros } from "../../tensor/mod.ts";
import {
  type FluxTransformer2DConfig,
  fluxTransformer2DConfig,
  fluxTransformer2DKeys,
  innerDim,
} from "./config.ts";
import {
  features,
  type FluxConditions,
  type FluxTransformer2DInputs,
  fluxTransformer2DInputs,
  type FluxTransformer2DOptions,
  PositionCache,
  toldInputs,
} from "./inputs.ts";
import {
  FluxModulation,
  type FluxModulationWeights,
  fluxVectors,
  joinVectors,
  modulationWidth,
  splitVectors,
} from "./modulation.ts";
import { Model, type TapOptions, type Taps } from "../runtime/model.ts";
import type { Tensors } from "../runtime/traces.ts";

/** Weights of what a FluxTransformer2DModel's tokens go through. */
export interface FluxTokenWeights {
  x_embedder: Layer;
  context_embedder: Layer;
  transformer_blocks: FluxTransformerBlock[];
  single_transformer_blocks: FluxSingleTransformerBlock[];
  proj_out: Layer;
}

/** Weights of a FluxTransformer2DModel. */
export type FluxTransformer2DWeights = FluxTokenWeights & FluxModulationWeights;

/**
 * Predicts the velocity of a picture's latents that a prompt describes: the transformer of FLUX.1 (Black
 * Forest Labs 2024), diffusers' FluxTransformer2DModel. hiddenStates [B, L, in_channels]
 * → [B, L, out_channels · patch_size²].
 */
export function fluxTransformer2D(
  inputs: FluxTransformer2DInputs,
  w: FluxTransformer2DWeights,
  config: FluxTransformer2DConfig,
): Tensor {
  const D = innerDim(config);
  const dtype = w.x_embedder.bias.dtype; // of activations: matrices may be stored smaller, biases never are
  const { cos, sin, modulation } = inputs;
  const vectors = modulation
    ? splitVectors(modulation, config)
    : new Map(fluxVectors(inputs as FluxTimeText, w, config));
  const options = { heads: config.num_attention_heads, cos, sin, dtype };

  // The residual streams are f32: they outgrow f16, which diffusers cuts off at ±65504.
  const embed = (name: "x_embedder" | "context_embedder", x: Tensor) =>
    named(name, () => dense(x.cast(dtype), w[name], D).cast("f32"), [x]);
  let streams: [Tensor, Tensor] = [
    embed("context_embedder", inputs.encoderHiddenStates),
    embed("x_embedder", inputs.hiddenStates),
  ];
  for (let i = 0; i < config.num_layers; i++) {
    const path = `transformer_blocks.${i}`;
    const told = {
      norm1: vectors.get(`${path}.norm1`)!,
      norm1_context: vectors.get(`${path}.norm1_context`)!,
    };
    streams = named(
      path,
      () => fluxTransformerBlock(streams, w.transformer_blocks[i]!, told, options),
      streams,
    );
  }

  const N = inputs.encoderHiddenStates.shape[1]!;
  let x = cat(streams, 1);
  for (let i = 0; i < config.num_single_layers; i++) {
    const path = `single_transformer_blocks.${i}`;
    const told = vectors.get(`${path}.norm`)!;
    x = namedParts(
      path,
      N,
      x,
      () => fluxSingleTransformerBlock(x, w.single_transformer_blocks[i]!, told, options),
    );
  }

  const image = x.slice(1, N);
  const normed = named(
    "norm_out",
    () => adaLayerNormContinuous(image, vectors.get("norm_out")!, dtype),
    [image, vectors.get("norm_out")!],
  );
  const width = (config.out_channels ?? config.in_channels) * config.patch_size ** 2;
  return named("proj_out", () => dense(normed, w.proj_out, width), [normed]);
}

/** A block of the single stream, which in diffusers takes and gives text and picture apart. x [B, N + L, D] */
function namedParts(path: string, N: number, x: Tensor, run: () => Tensor): Tensor {
  const apart = (both: Tensor) => [both.slice(1, 0, N), both.slice(1, N)];
  let y = x;
  let made: Tensor[] = [];
  const seen = named(path, () => made = apart(y = run()), apart(x));
  return seen.every((part, i) => part === made[i]) ? y : cat(seen, 1);
}

const IMAGE_TOKENS = 4096; // of a picture of 1024²
const TEXT_TOKENS = 512;

/**
 * Predicts the velocity of a picture's latents that a prompt describes; diffusers' FluxTransformer2DModel.
 */
export class FluxTransformer2DModel extends Model<FluxTransformer2DConfig> {
  /** Checks a config.json and fills in its defaults. */
  static readonly schema: z.ZodType<FluxTransformer2DConfig> = fluxTransformer2DConfig;
  /** The keys that it knows. */
  static readonly keys: z.ZodObject = fluxTransformer2DKeys;
  /** Where pipelines keep it. */
  static readonly folder: string = "transformer";

  readonly #positions = new PositionCache();

  /**
   * The model's output for packed latents [B, L, in_channels] and the prompts' tokens, of which there may be
   * any number. What it is told about time, guidance and the prompt as a whole comes with the call, or as
   * `modulation` from `condition`, which computes it for all steps of a loop at once; the results are the
   * same. `condition` and the steps that use its results read different weights:
   * `load({ only: "condition" })` and `load({ only: "step" })` bring these alone, where there is no room for
   * all at once.
   */
  forward<const Path extends string = never>(
    hiddenStates: Tensor,
    options: FluxTransformer2DOptions & TapOptions<Path>,
  ): { sample: Tensor; taps: Taps<Path> } {
    const inputs = fluxTransformer2DInputs(hiddenStates, options, this.#positions, this.config);
    const key = inputs.modulation ? "step" : "forward";
    const run = this.tapped(key, inputs, this.#run, options.taps);
    return { ...run.results, taps: run.taps };
  }

  /**
   * What all blocks are told at each of these timesteps, from 0 to 1: a quarter of FLUX.1's weights are read
   * for it, and by a `forward` with its results not at all. As many steps go at once as one binding holds.
   */
  condition(timesteps: readonly number[], conditions: FluxConditions): FluxModulation {
    const B = conditions.pooledProjections.shape[0]!;
    const { maxStorageBufferBindingSize } = this.device.limits;
    const rows = Math.floor(maxStorageBufferBindingSize / (4 * modulationWidth(this.config)));
    const atOnce = Math.max(1, Math.floor(rows / B));
    const parts: Tensor[] = [];
    for (let first = 0; first < timesteps.length; first += atOnce) {
      using made = scope();
      const time = features(timesteps.slice(first, first + atOnce)).unsqueeze(1);
      const told = toldInputs(time, conditions, B, this.config);
      parts.push(made.keep(this.traced("condition", told, this.#tell).modulation));
    }
    this.retrace("condition"); // it runs once a picture: nothing but the result stays in memory
    return new FluxModulation(parts, B);
  }

  /** Traces a picture of 1024² with what `condition` makes, and `condition` for one step. */
  prepare(): void {
    const { in_channels, joint_attention_dim, attention_head_dim, pooled_projection_dim } = this.config;
    const tables = zeros([TEXT_TOKENS + IMAGE_TOKENS, attention_head_dim / 2]);
    this.rehearsed("step", {
      hiddenStates: zeros([1, IMAGE_TOKENS, in_channels]),
      encoderHiddenStates: zeros([1, TEXT_TOKENS, joint_attention_dim]),
      cos: tables,
      sin: tables,
      modulation: zeros([1, modulationWidth(this.config)]),
    }, this.#run);
    const pooledProjections = zeros([1, pooled_projection_dim]);
    const guidance = this.config.guidance_embeds ? 1 : undefined;
    const told = toldInputs(features([1]).unsqueeze(0), { pooledProjections, guidance }, 1, this.config);
    this.rehearsed("condition", told, this.#tell);
  }

  /** Gives back the memory of weights, activations and tables, after the work already recorded. */
  override unload(): void {
    this.#positions.clear();
    super.unload();
  }

  #tell = (told: Tensors): { modulation: Tensor } => ({
    modulation: joinVectors(
      fluxVectors(told as FluxTimeText, this.weights.tree as FluxTransformer2DWeights, this.config),
    ),
  });

  #run = (inputs: Tensors): { sample: Tensor } => ({
    sample: fluxTransformer2D(
      inputs as FluxTransformer2DInputs,
      this.weights.tree as FluxTransformer2DWeights,
      this.config,
    ),
  });
}
