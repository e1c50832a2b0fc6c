import { expectOptions, nameOfKind } from "../../core/error.ts";
import type { ConfigSchema } from "../../io/config.ts";
import { cat, named, type Tensor, tensor, zeros } from "../../tensor/mod.ts";
import { expectInput } from "../inputs.ts";
import { Model, type TapOptions, type Taps } from "../runtime/model.ts";
import type { Tensors } from "../runtime/traces.ts";
import { type ZImageBlockOptions, zImageTransformerBlock } from "../z_image_transformer_2d/blocks.ts";
import {
  headWidth,
  patchKey,
  type PatchSize,
  patchSizes,
  timeWidth,
} from "../z_image_transformer_2d/config.ts";
import type { ZImageTransformer2DOptions } from "../z_image_transformer_2d/inputs.ts";
import { LayoutCache, padded } from "../z_image_transformer_2d/layout.ts";
import { tokensOf } from "../z_image_transformer_2d/refiners.ts";
import { ZImageTransformer2DModel } from "../z_image_transformer_2d/z_image_transformer_2d.ts";
import { controlBlocks, controlTokens, type ZImageControlNetWeights } from "./blocks.ts";
import { expectOfTransformer, type ZImageControlNetConfig, zImageControlNetConfig } from "./config.ts";

/** Options of `ZImageControlNetModel.forward`. */
export interface ZImageControlNetOptions extends Omit<ZImageTransformer2DOptions, "controlnetBlockSamples"> {
  /** Factor of all that is added; 1 by default. */
  conditioningScale?: number | undefined;
}

const OPTIONS = ["capLengths", "patchSize", "fPatchSize", "conditioningScale", "taps"];
const TOKENS = 4096; // of a picture of 1024²
const CAPTION = 64; // tokens

/** Tensors that the blocks read. */
type Inputs = { temb: Tensor; cos: Tensor; sin: Tensor; scale: Tensor; mask?: Tensor };

/**
 * Lets a picture, such as edges, depth or a pose, control what Z-Image draws; diffusers' ZImageControlNetModel. It has
 * no layers of its own for latents, time and captions: it shares those of its transformer.
 */
export class ZImageControlNetModel extends Model<ZImageControlNetConfig> {
  /** Checks a config.json and fills in its defaults. */
  static readonly schema: ConfigSchema<ZImageControlNetConfig> = zImageControlNetConfig;
  /** Its folder in a pipeline. */
  static readonly folder: string = "controlnet";
  /** Blocks that files of version 2.0 have and the model does not read. */
  static readonly others: RegExp = /^control_noise_refiner\./;

  #transformer: ZImageTransformer2DModel | undefined;
  readonly #layouts = new LayoutCache();

  /** Lets a ControlNet share the layers of a transformer, LoRAs on them included. → the same ControlNet */
  static fromTransformer(
    controlnet: ZImageControlNetModel,
    transformer: ZImageTransformer2DModel,
  ): ZImageControlNetModel {
    if (!(transformer instanceof ZImageTransformer2DModel)) {
      throw new TypeError(
        `Cannot share layers: expected a ZImageTransformer2DModel, got ${nameOfKind(transformer)}`,
      );
    }
    expectOfTransformer(controlnet.config, transformer.config);
    controlnet.#transformer = transformer;
    return controlnet;
  }

  /**
   * Tokens to add behind blocks of the transformer, by their numbers, as its `forward` takes them: of latents x, times
   * `t` and captions, as for the transformer, and of what controls, latents of a picture and zeros, or of a mask and of
   * what it leaves [B, control_in_dim, H, W] or [B, control_in_dim, F, H, W]. → [B, L, dim] each
   */
  forward<const Path extends string = never>(
    x: Tensor,
    t: number | readonly number[],
    capFeats: Tensor,
    controlContext: Tensor,
    options: ZImageControlNetOptions & TapOptions<Path> = {},
  ): { controlnetBlockSamples: Record<number, Tensor>; taps: Taps<Path> } {
    expectOptions("control", options, OPTIONS);
    const { conditioningScale = 1, taps = [], ...rest } = options;
    const transformer = this.#transformer;
    if (!transformer) {
      throw new Error(
        "Cannot run ZImageControlNetModel: it has no transformer to share layers with; call ZImageControlNetModel.fromTransformer",
      );
    }
    if (!Number.isFinite(conditioningScale)) {
      throw new RangeError(`Cannot control with conditioningScale ${conditioningScale}: expected a number`);
    }
    const { inputs, patch } = transformer.inputs(x, t, capFeats, rest, this.#layouts);
    expectInput("use controlContext", controlContext, x.shape.with(1, this.config.control_in_dim));
    const key = patchKey(patch);
    const isJoint = (path: string) => path.startsWith("control_layers."); // those of version 2.0 run twice: the second counts
    const { cos, sin, mask } = inputs;
    const embedded = transformer.embed(inputs, patch);
    const shared = { temb: embedded.temb, cos, sin, scale: tensor([conditioningScale]) };

    const first = this.tapped(
      `refine ${key}`,
      { ...shared, context: controlContext, tokens: embedded.tokens },
      (inputs) => this.#refine(inputs, patch),
      taps.filter((path) => !isJoint(path)),
    );
    const { control, ...added } = first.results;
    const refined = transformer.refine(inputs, embedded, added, patch);
    const second = this.tapped(
      `layers ${key}`,
      { ...shared, ...refined, control: control!, ...mask && { mask } },
      (inputs) => this.#layers(inputs, patch),
      taps.filter(isJoint),
    );
    return {
      controlnetBlockSamples: second.results,
      taps: { ...first.taps, ...second.taps } as unknown as Taps<Path>,
    };
  }

  /** Traces a picture of 1024² with a short caption, for each size of tokens. */
  prepare(): void {
    const { dim, control_in_dim } = this.config;
    for (const patch of patchSizes(this.config)) {
      const [side, frames] = patch;
      const L = padded(TOKENS);
      const sides = side * Math.sqrt(TOKENS);
      const table = zeros([L + CAPTION, headWidth(this.config) / 2]);
      const shared = { temb: zeros([1, timeWidth(this.config)]), cos: table, sin: table, scale: zeros([1]) };
      const tokens = zeros([1, L, dim]);
      const context = zeros([1, control_in_dim, frames, sides, sides]);
      const caption = zeros([1, CAPTION, dim]);
      const key = patchKey(patch);
      this.dryRun(`refine ${key}`, { ...shared, context, tokens }, (inputs) => this.#refine(inputs, patch));
      this.dryRun(
        `layers ${key}`,
        { ...shared, image: tokens, caption, control: tokens },
        (inputs) => this.#layers(inputs, patch),
      );
    }
  }

  /** Gives back the memory of weights, activations and tables, after the work already recorded. */
  override unload(): void {
    this.#layouts.clear();
    super.unload();
  }

  /** Tokens of what controls, refined, as `control`, and what is added to the transformer's noise_refiner by blocks. */
  #refine(inputs: Tensors, patch: PatchSize): Tensors {
    const { context, tokens, temb, scale } = inputs as Inputs & { context: Tensor; tokens: Tensor };
    const {
      add_control_noise_refiner: kind,
      control_layers_places,
      control_refiner_layers_places = [],
      n_refiner_layers,
    } = this.config;
    const w = this.#tree;
    const L = tokens.shape[1]!;
    const { cos, sin, ...rest } = this.#blockOptions(inputs as Inputs, patch);
    const options = { ...rest, cos: tokensOf(cos, 0, L), sin: tokensOf(sin, 0, L), mask: undefined };
    let control = controlTokens(context, patch, tokens, w);
    if (!kind) {
      for (let i = 0; i < n_refiner_layers; i++) {
        const block = () => zImageTransformerBlock(control, w.control_noise_refiner[i]!, temb, options);
        control = named(`control_noise_refiner.${i}`, block, [control]);
      }
      return { control };
    }
    const count = kind === "control_layers" ? control_layers_places.length : n_refiner_layers;
    const refined = controlBlocks(kind, count, { control, x: tokens, temb, scale }, w, options);
    return { control: refined.control, ...at(control_refiner_layers_places, refined.added) };
  }

  /** Tokens to add behind the transformer's blocks over picture and caption, by the numbers of these. */
  #layers(inputs: Tensors, patch: PatchSize): Tensors {
    const { control, image, caption, temb, scale } = inputs as
      & Inputs
      & Record<"control" | "image" | "caption", Tensor>;
    const { control_layers_places: places } = this.config;
    const x = cat([image, caption], 1);
    const both = { control: cat([control, caption], 1), x, temb, scale };
    const options = this.#blockOptions(inputs as Inputs, patch);
    const { added } = controlBlocks("control_layers", places.length, both, this.#tree, options);
    return at(places, added);
  }

  #blockOptions({ cos, sin, mask }: Inputs, patch: PatchSize): ZImageBlockOptions {
    const { norm_eps: eps, n_heads: heads, qk_norm: qkNorm } = this.config;
    const { dtype } = this.#tree.control_all_x_embedder[patchKey(patch)]!.bias;
    return { heads, headWidth: headWidth(this.config), qkNorm, eps, dtype, cos, sin, mask };
  }

  get #tree(): ZImageControlNetWeights {
    return this.weights.tree as ZImageControlNetWeights;
  }
}

/** Results of blocks by the numbers of the transformer's blocks. */
function at(places: readonly number[], added: readonly Tensor[]): Tensors {
  return Object.fromEntries(places.map((place, i) => [place, added[i]!]));
}
