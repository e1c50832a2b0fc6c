import type { ConfigSchema } from "../../io/config.ts";
import { dense, type Layer } from "../../nn/layers.ts";
import { linearBehind } from "../../ops/mod.ts";
import { named, scope, type Tensor, zeros } from "../../tensor/mod.ts";
import { type BlockParts, blockPaths } from "../runtime/block_parts.ts";
import { Model, type TapOptions, type Taps } from "../runtime/model.ts";
import type { Tensors } from "../runtime/traces.ts";
import { adaLayerNormContinuous } from "./blocks.ts";
import { type FluxBlocks, fluxBlocks } from "./block_lists.ts";
import { type FluxTransformer2DConfig, fluxTransformer2DConfig, innerDim } from "./config.ts";
import { addedBy } from "./control.ts";
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
  modulationLayers,
  modulations,
  modulationWidth,
  splitModulation,
} from "./modulation.ts";
import { PositionCache } from "./pos_embed.ts";

/** Weights that a FluxTransformer2DModel's tokens go through. */
export interface FluxTokenWeights extends FluxBlocks {
  x_embedder: Layer;
  context_embedder: Layer;
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
  repeats = false,
): Tensor {
  const D = innerDim(config);
  const dtype = w.x_embedder.bias.dtype; // of activations: matrices may be stored smaller, biases never are
  const modulation = inputs.modulation
    ? splitModulation(inputs.modulation, config)
    : new Map(modulations(inputs as FluxConditioning, w, modulationLayers(config), D));
  const options = { heads: config.num_attention_heads, cos: inputs.cos, sin: inputs.sin, dtype };

  // The residual streams are f32: they outgrow f16, which diffusers cuts off at ±65504.
  const { encoderHiddenStates: texts, hiddenStates: latents } = inputs;
  const streams: [Tensor, Tensor] = [
    named("context_embedder", () => dense(texts.cast(dtype), w.context_embedder, D).cast("f32"), [texts]),
    named("x_embedder", () => embedLatents(latents.cast(dtype), w.x_embedder, D, config).cast("f32"), [
      latents,
    ]),
  ];
  const added = addedBy(inputs as Tensors, config, repeats);
  const image = fluxBlocks(streams, w, { modulation, config, options }, added);
  const norm = modulation.get("norm_out")!;
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

/** The entry point of a call, which reads the weights of modulations or not, and how a ControlNet adds to it. */
function keyOf(
  { modulation }: FluxTransformer2DInputs,
  { controlnetBlocksRepeat }: FluxTransformer2DOptions,
): string {
  return `${modulation ? "step" : "forward"}${controlnetBlocksRepeat ? "; repeat" : ""}`;
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
    const [key, fn] = this.skipping(keyOf(inputs, options), this.#runOf(options), options);
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
    return this.inBlocks(
      ...this.skipping(keyOf(inputs, options), this.#runOf(options), options),
      inputs,
      blocks,
    );
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
    }, this.#runOf({}));
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
    const layers = modulations(
      inputs as FluxConditioning,
      w,
      modulationLayers(this.config),
      innerDim(this.config),
    );
    return { modulation: joinColumns(layers.map(([, rows]) => rows)) };
  };

  #runOf({ controlnetBlocksRepeat }: Pick<FluxTransformer2DOptions, "controlnetBlocksRepeat">) {
    return (inputs: Tensors): { sample: Tensor } => ({
      sample: fluxTransformer2D(
        inputs as FluxTransformer2DInputs,
        this.weights.tree as FluxTransformer2DWeights,
        this.config,
        controlnetBlocksRepeat,
      ),
    });
  }
}
