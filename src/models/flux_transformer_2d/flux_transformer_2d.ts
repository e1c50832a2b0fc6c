import type { ConfigSchema } from "../../io/config.ts";
import { dense, type Layer } from "../../nn/layers.ts";
import { linearBehind } from "../../ops/mod.ts";
import { cat, named, scope, type Tensor, zeros } from "../../tensor/mod.ts";
import { type BlockParts, blockPaths } from "../runtime/block_parts.ts";
import { Model, type TapOptions, type Taps } from "../runtime/model.ts";
import type { Tensors } from "../runtime/traces.ts";
import {
  adaLayerNormContinuous,
  type FluxSingleTransformerBlock,
  fluxSingleTransformerBlock,
  type FluxTransformerBlock,
  fluxTransformerBlock,
} from "./blocks.ts";
import { type FluxTransformer2DConfig, fluxTransformer2DConfig, innerDim } from "./config.ts";
import {
  conditioningInputs,
  features,
  type FluxConditions,
  type FluxTransformer2DInputs,
  fluxTransformer2DInputs,
  type FluxTransformer2DOptions,
} from "./inputs.ts";
import {
  type FluxConditioning,
  FluxModulation,
  type FluxModulationWeights,
  joinColumns,
  modulations,
  modulationWidth,
  splitModulation,
} from "./modulation.ts";
import { PositionCache } from "./pos_embed.ts";

/** Weights that a FluxTransformer2DModel's tokens go through. */
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
  const modulation = inputs.modulation
    ? splitModulation(inputs.modulation, config)
    : new Map(modulations(inputs as FluxConditioning, w, config));
  const modulationOf = (path: string) => modulation.get(path)!;
  const options = { heads: config.num_attention_heads, cos: inputs.cos, sin: inputs.sin, dtype };

  // The residual streams are f32: they outgrow f16, which diffusers cuts off at ±65504.
  const { encoderHiddenStates: texts, hiddenStates: latents } = inputs;
  let streams: [Tensor, Tensor] = [
    named("context_embedder", () => dense(texts.cast(dtype), w.context_embedder, D).cast("f32"), [texts]),
    named("x_embedder", () => embedLatents(latents.cast(dtype), w.x_embedder, D, config).cast("f32"), [
      latents,
    ]),
  ];
  for (let i = 0; i < config.num_layers; i++) {
    const path = `transformer_blocks.${i}`;
    const norms = {
      norm1: modulationOf(`${path}.norm1`),
      norm1_context: modulationOf(`${path}.norm1_context`),
    };
    const block = () => fluxTransformerBlock(streams, w.transformer_blocks[i]!, norms, options);
    streams = named(path, block, streams);
  }

  const N = inputs.encoderHiddenStates.shape[1]!;
  let x = cat(streams, 1);
  for (let i = 0; i < config.num_single_layers; i++) {
    const path = `single_transformer_blocks.${i}`;
    const norm = modulationOf(`${path}.norm`);
    const block = () => fluxSingleTransformerBlock(x, w.single_transformer_blocks[i]!, norm, options);
    x = namedParts(path, N, x, block);
  }

  const image = x.slice(1, N);
  const norm = modulationOf("norm_out");
  const normed = named("norm_out", () => adaLayerNormContinuous(image, norm, dtype), [image, norm]);
  const width = (config.out_channels ?? config.in_channels) * config.patch_size ** 2;
  return named("proj_out", () => dense(normed, w.proj_out, width), [normed]);
}

/** Tokens of latents; channels behind those that the model knows are for a Control LoRA alone. x [B, L, K] → [B, L, D] */
function embedLatents(x: Tensor, w: Layer, D: number, { in_channels }: FluxTransformer2DConfig): Tensor {
  if (x.shape[2] === in_channels) return dense(x, w, D);
  const own = dense(x.slice(2, 0, in_channels), w, D);
  const added = linearBehind(x.slice(2, in_channels), w); // none while the LoRAs are not in memory
  return added ? own.add(added) : own;
}

/** A block of the single stream, which in diffusers takes and gives text and picture apart. x [B, N + L, D] */
function namedParts(path: string, N: number, x: Tensor, run: () => Tensor): Tensor {
  const apart = (both: Tensor) => [both.slice(1, 0, N), both.slice(1, N)];
  let y = x;
  let made: Tensor[] = [];
  const seen = named(path, () => made = apart(y = run()), apart(x));
  return seen.every((part, i) => part === made[i]) ? y : cat(seen, 1);
}

/** The entry point of a call: it reads the weights of modulations, or not. */
function entryOf({ modulation }: FluxTransformer2DInputs): string {
  return modulation ? "step" : "forward";
}

const IMAGE_TOKENS = 4096; // of a picture of 1024²
const TEXT_TOKENS = 512;

/** Predicts the velocity of a picture's latents that a prompt describes; diffusers' FluxTransformer2DModel. */
export class FluxTransformer2DModel extends Model<FluxTransformer2DConfig> {
  /** Checks a config.json and fills in its defaults. */
  static readonly schema: ConfigSchema<FluxTransformer2DConfig> = fluxTransformer2DConfig;
  /** Its folder in a pipeline. */
  static readonly folder: string = "transformer";

  /** A Control LoRA makes it read the latents of a picture beside its own. */
  static override readonly widens: readonly string[] = ["x_embedder"];

  readonly #positions = new PositionCache();

  /** Channels of a token: those of the config, or more by a Control LoRA. */
  get inChannels(): number {
    return Math.max(this.config.in_channels, this.adapters.widthOf("x_embedder"));
  }

  /**
   * The model's output for packed latents [B, L, inChannels] and the prompts' tokens, of which there may be
   * any number. Time, guidance and the pooled prompt come with the call, or as `modulation` from `condition`,
   * which computes it for all steps of a loop at once; the results are the same. `condition` and the steps that
   * use its results read different weights: `load({ only: "condition" })` and `load({ only: "step" })` bring
   * these alone, where there is no room for all at once.
   */
  forward<const Path extends string = never>(
    hiddenStates: Tensor,
    options: FluxTransformer2DOptions & TapOptions<Path>,
  ): { sample: Tensor; taps: Taps<Path> } {
    const inputs = fluxTransformer2DInputs(hiddenStates, options, this.#positions, this);
    const [key, fn] = this.skipping(entryOf(inputs), this.#run, options);
    const run = this.tapped(key, inputs, fn, options.taps);
    return { ...run.results, taps: run.taps };
  }

  /** The same call in parts, for step caches. */
  blockParts(hiddenStates: Tensor, options: FluxTransformer2DOptions): BlockParts {
    const inputs = fluxTransformer2DInputs(hiddenStates, options, this.#positions, this);
    const { num_layers, num_single_layers } = this.config;
    const blocks = blockPaths({
      transformer_blocks: num_layers,
      single_transformer_blocks: num_single_layers,
    });
    return this.inBlocks(...this.skipping(entryOf(inputs), this.#run, options), inputs, blocks);
  }

  /**
   * Shifts, scales and gates of all norms at each of these timesteps, from 0 to 1: a quarter of FLUX.1's weights
   * are read for it, and by a `forward` with its results not at all. As many steps go at once as one binding holds.
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
      const inputs = conditioningInputs(time, conditions, B, this.config);
      parts.push(made.keep(this.traced("condition", inputs, this.#condition).modulation));
    }
    this.retrace("condition"); // it runs once a picture: nothing but the result stays in memory
    return new FluxModulation(parts, B);
  }

  /** Traces a picture of 1024² with the result of `condition`, and `condition` for one step. */
  prepare(): void {
    const { joint_attention_dim, attention_head_dim, pooled_projection_dim } = this.config;
    const tables = zeros([TEXT_TOKENS + IMAGE_TOKENS, attention_head_dim / 2]);
    this.dryRun("step", {
      hiddenStates: zeros([1, IMAGE_TOKENS, this.inChannels]),
      encoderHiddenStates: zeros([1, TEXT_TOKENS, joint_attention_dim]),
      cos: tables,
      sin: tables,
      modulation: zeros([1, modulationWidth(this.config)]),
    }, this.#run);
    const pooledProjections = zeros([1, pooled_projection_dim]);
    const guidance = this.config.guidance_embeds ? 1 : undefined;
    const conditions = { pooledProjections, guidance };
    const inputs = conditioningInputs(features([1]).unsqueeze(0), conditions, 1, this.config);
    this.dryRun("condition", inputs, this.#condition);
  }

  /** Gives back the memory of weights, activations and tables, after the work already recorded. */
  override unload(): void {
    this.#positions.clear();
    super.unload();
  }

  #condition = (inputs: Tensors): { modulation: Tensor } => {
    const w = this.weights.tree as FluxModulationWeights;
    const layers = modulations(inputs as FluxConditioning, w, this.config);
    return { modulation: joinColumns(layers.map(([, rows]) => rows)) };
  };

  #run = (inputs: Tensors): { sample: Tensor } => ({
    sample: fluxTransformer2D(
      inputs as FluxTransformer2DInputs,
      this.weights.tree as FluxTransformer2DWeights,
      this.config,
    ),
  });
}
