import { expectOptions } from "../../core/error.ts";
import { formatShape, type Shape } from "../../core/shape.ts";
import type { ConfigSchema } from "../../io/config.ts";
import { type ConditioningEmbedding, conditioningEmbedding } from "../../nn/conditioning_embedding.ts";
import { dense, embedding, type Layer } from "../../nn/layers.ts";
import { cat, named, type Tensor, tensor, zeros } from "../../tensor/mod.ts";
import { type FluxBlocks, fluxBlocks } from "../flux_transformer_2d/block_lists.ts";
import { innerDim } from "../flux_transformer_2d/config.ts";
import { conditioningInputs, features, type FluxConditions } from "../flux_transformer_2d/inputs.ts";
import {
  blockLayers,
  type FluxBlockModulationWeights,
  type FluxConditioning,
  modulations,
} from "../flux_transformer_2d/modulation.ts";
import { expectPositions, PositionCache, type Positions } from "../flux_transformer_2d/pos_embed.ts";
import { expectInput, idsInput, onePerRow } from "../inputs.ts";
import { Model, type TapOptions, type Taps } from "../runtime/model.ts";
import type { Tensors } from "../runtime/traces.ts";
import { type FluxControlNetConfig, fluxControlNetConfig } from "./config.ts";

/** Weights of a FluxControlNetModel. */
export type FluxControlNetWeights = FluxBlocks & FluxBlockModulationWeights & {
  x_embedder: Layer;
  context_embedder: Layer;
  controlnet_x_embedder: Layer;
  controlnet_blocks: readonly Layer[];
  controlnet_single_blocks: readonly Layer[];
  /** In models of several kinds of pictures. */
  controlnet_mode_embedder?: { weight: Tensor };
  /** In models that see pixels. */
  input_hint_block?: ConditioningEmbedding;
};

/** Tensors that a FluxControlNetModel reads. */
type Inputs = FluxConditioning & {
  hiddenStates: Tensor;
  controlnetCond: Tensor;
  encoderHiddenStates: Tensor;
  cos: Tensor;
  sin: Tensor;
  scale: Tensor;
  modes?: Tensor;
};

/** Options of `FluxControlNetModel.forward`. */
export interface FluxControlNetOptions extends FluxConditions {
  /** One for all rows or one a row, from 0 to 1. */
  timestep: number | readonly number[];
  /** Embeddings of the prompts' tokens [B, N, joint_attention_dim]. */
  encoderHiddenStates: Tensor;
  /** Positions of the latents' tokens in the picture [L, axes]. */
  imgIds: Positions;
  /** Positions of the prompts' tokens: in FLUX all at 0. [N, axes] */
  txtIds: Positions;
  /** Kind of the picture, from 0 to num_mode - 1, for models of several, and only for them: one for all rows or one a row. */
  controlnetMode?: number | readonly number[] | undefined;
  /** Factor of all that is added; 1 by default. */
  conditioningScale?: number | undefined;
}

/** Tokens that a FluxControlNetModel adds, as `FluxTransformer2DModel.forward` takes them. */
export interface FluxControlNetOutput {
  /** Behind each of its blocks of the dual stream [B, L, D]. */
  controlnetBlockSamples: Tensor[];
  /** Behind each of its blocks of the single stream [B, L, D]. */
  controlnetSingleBlockSamples: Tensor[];
}

const OPTIONS = [
  "timestep",
  "encoderHiddenStates",
  "imgIds",
  "txtIds",
  "pooledProjections",
  "guidance",
  "controlnetMode",
  "conditioningScale",
  "taps",
] satisfies (keyof (FluxControlNetOptions & TapOptions))[];

const HINT_CHANNELS = [16, 16, 16, 16]; // of the features of a picture
const HINT_FACTOR = 8; // pixels on the side of a place of these
const HINT_COLORS = 3;
const SIDE = 64; // tokens of a picture of 1024²
const TEXT_TOKENS = 512;

/** Lets a picture, such as edges, depth or a pose, control what FLUX.1 draws; diffusers' FluxControlNetModel. */
export class FluxControlNetModel extends Model<FluxControlNetConfig> {
  /** Checks a config.json and fills in its defaults. */
  static readonly schema: ConfigSchema<FluxControlNetConfig> = fluxControlNetConfig;
  /** Its folder in a pipeline. */
  static readonly folder: string = "controlnet";

  readonly #positions = new PositionCache();

  /** True if it sees the pixels of a picture, in [-1, 1], as XLabs' models do; false if packed latents. */
  get seesPixels(): boolean {
    return this.config.conditioning_embedding_channels !== undefined;
  }

  /**
   * Tokens to add behind blocks of the transformer, for packed latents [B, L, in_channels], the prompts' tokens and the
   * picture that controls: packed latents [B, L, in_channels], or its pixels [B, 3, H, W] where `seesPixels`.
   */
  forward<const Path extends string = never>(
    hiddenStates: Tensor,
    controlnetCond: Tensor,
    options: FluxControlNetOptions & TapOptions<Path>,
  ): FluxControlNetOutput & { taps: Taps<Path> } {
    const inputs = this.#inputs(hiddenStates, controlnetCond, options);
    const { results, taps } = this.tapped("forward", inputs, this.#run, options.taps);
    const samples = Object.values(results);
    const { num_layers } = this.config;
    return {
      controlnetBlockSamples: samples.slice(0, num_layers),
      controlnetSingleBlockSamples: samples.slice(num_layers),
      taps,
    };
  }

  /** Traces a picture of 1024². */
  prepare(): void {
    const { config } = this;
    const latents = zeros([1, SIDE ** 2, config.in_channels]);
    const side = SIDE * config.patch_size * HINT_FACTOR;
    const tokens = SIDE ** 2 + TEXT_TOKENS + (config.num_mode === undefined ? 0 : 1);
    const table = zeros([tokens, config.attention_head_dim / 2]);
    const guidance = config.guidance_embeds ? 1 : undefined;
    const conditions = { pooledProjections: zeros([1, config.pooled_projection_dim]), guidance };
    this.dryRun("forward", {
      hiddenStates: latents,
      controlnetCond: this.seesPixels ? zeros([1, HINT_COLORS, side, side]) : latents,
      encoderHiddenStates: zeros([1, TEXT_TOKENS, config.joint_attention_dim]),
      cos: table,
      sin: table,
      ...conditioningInputs(features([1]).unsqueeze(0), conditions, 1, config),
      ...config.num_mode === undefined ? {} : { modes: zeros([1], { dtype: "i32" }) },
      scale: zeros([1]),
    }, this.#run);
  }

  /** Gives back the memory of weights, activations and tables, after the work already recorded. */
  override unload(): void {
    this.#positions.clear();
    super.unload();
  }

  /** Checks the arguments of `forward`, and makes tensors of its numbers. */
  #inputs(hiddenStates: Tensor, controlnetCond: Tensor, options: FluxControlNetOptions & TapOptions): Inputs {
    expectOptions("control", options, OPTIONS);
    const { encoderHiddenStates, imgIds, txtIds, timestep, conditioningScale = 1 } = options;
    const { config } = this;
    const { in_channels, joint_attention_dim } = config;
    if (!Number.isFinite(conditioningScale)) {
      throw new RangeError(`Cannot control with conditioningScale ${conditioningScale}: expected a number`);
    }
    expectInput("use hiddenStates", hiddenStates, ["B", "L", in_channels]);
    const [B, L] = hiddenStates.shape as Shape<3>;
    expectInput("use encoderHiddenStates", encoderHiddenStates, [B, "N", joint_attention_dim]);
    expectPositions("imgIds", imgIds, L, config);
    expectPositions("txtIds", txtIds, encoderHiddenStates.shape[1]!, config);
    this.#expectCond(controlnetCond, [B, L]);
    const modes = this.#modes(options.controlnetMode, B);
    const ofMode = modes ? [txtIds[0] ?? imgIds[0]!.map(() => 0)] : []; // its token stands where the text begins
    const times = features(onePerRow("timestep", timestep, B)).unsqueeze(0);
    return {
      hiddenStates,
      controlnetCond,
      encoderHiddenStates,
      ...this.#positions.of([...ofMode, ...txtIds, ...imgIds], config),
      ...conditioningInputs(times, options, B, config),
      ...modes && { modes },
      scale: tensor([conditioningScale]),
    };
  }

  #expectCond(cond: Tensor, [B, L]: readonly [B: number, L: number]): void {
    const { in_channels, patch_size } = this.config;
    if (!this.seesPixels) return expectInput("use controlnetCond", cond, [B, L, in_channels]);
    expectInput("use controlnetCond", cond, [B, HINT_COLORS, "H", "W"]);
    const sides = cond.shape.slice(2).map((side) => side / (HINT_FACTOR * patch_size));
    if (sides.every(Number.isInteger) && sides[0]! * sides[1]! === L) return;
    throw new RangeError(
      `Cannot use controlnetCond: expected a picture of ${L} tokens of ${HINT_FACTOR * patch_size} x ${
        HINT_FACTOR * patch_size
      } pixels, got ${formatShape(cond.shape)}`,
    );
  }

  #modes(mode: number | readonly number[] | undefined, B: number): Tensor | undefined {
    const { num_mode } = this.config;
    if ((mode === undefined) === (num_mode === undefined)) {
      return mode === undefined
        ? undefined
        : idsInput("controlnetMode", onePerRow("mode", mode, B), num_mode!);
    }
    throw new TypeError(
      `Cannot control: expected ${
        num_mode === undefined
          ? "no controlnetMode, got one"
          : `controlnetMode from 0 to ${num_mode - 1}, got none`
      }; num_mode is ${num_mode ?? "not in its config"}`,
    );
  }

  #run = (inputs: Tensors): Tensors => {
    const { hiddenStates, controlnetCond, encoderHiddenStates, cos, sin, scale, modes, ...conditioning } =
      inputs as Inputs;
    const w = this.weights.tree as FluxControlNetWeights;
    const { config } = this;
    const D = innerDim(config);
    const { dtype } = w.x_embedder.bias;
    const embed = (name: "x_embedder" | "context_embedder" | "controlnet_x_embedder", x: Tensor) =>
      named(name, () => dense(x.cast(dtype), w[name], D).cast("f32"), [x]);

    const cond = this.seesPixels ? this.#seen(controlnetCond.cast(dtype), w) : controlnetCond;
    const image = embed("x_embedder", hiddenStates).add(embed("controlnet_x_embedder", cond));
    const modulation = new Map(modulations(conditioning, w, blockLayers(config), D));
    const words = embed("context_embedder", encoderHiddenStates);
    const texts = modes ? cat([this.#modeToken(modes, w, D), words], 1) : words;

    const samples: Tensors = {};
    const options = { heads: config.num_attention_heads, cos, sin, dtype };
    fluxBlocks([texts, image], w, { modulation, config, options }, (list, i, x) => {
      const name = list === "transformer_blocks" ? "controlnet_blocks" : "controlnet_single_blocks";
      const project = () => dense(x.cast(dtype), w[name][i]!, D).cast("f32").mul(scale);
      samples[`${name}.${i}`] = named(`${name}.${i}`, project, [x]);
      return undefined;
    });
    return samples;
  };

  /** A token for each row that says the kind of its picture. modes [B] → [B, 1, D] f32 */
  #modeToken(modes: Tensor, w: FluxControlNetWeights, D: number): Tensor {
    const embed = () => embedding(modes, w.controlnet_mode_embedder!, this.config.num_mode!, D);
    return named("controlnet_mode_embedder", embed, [modes]).cast("f32").unsqueeze(1);
  }

  /** Features of a picture's pixels as tokens. [B, 3, H, W] → [B, L, in_channels] */
  #seen(pixels: Tensor, w: FluxControlNetWeights): Tensor {
    const { patch_size: p, conditioning_embedding_channels: C } = this.config;
    const embed = () => conditioningEmbedding(pixels, w.input_hint_block!, HINT_CHANNELS, C!);
    const x = named("input_hint_block", embed, [pixels]);
    const [B, , H, W] = x.shape as Shape<4>;
    return x.reshape([B, C!, H / p, p, W / p, p]).permute([0, 2, 4, 1, 3, 5])
      .reshape([B, (H / p) * (W / p), C! * p * p]);
  }
}
