import { expectOptions, nameOfKind } from "../../core/error.ts";
import type { Shape } from "../../core/shape.ts";
import { fluxPosEmbed } from "./pos_embed.ts";
import type { FluxTimeText } from "./time_text_embed.ts";
import { timestepEmbedding } from "../../ops/mod.ts";
import { hold, letGo, type Tensor, tensor } from "../../tensor/mod.ts";
import { expectInput, onePerRow } from "../inputs.ts";
import type { FluxTransformer2DConfig } from "./config.ts";
import { modulationWidth } from "./modulation.ts";

/** Positions of tokens, one row each with a number for every axis of the config's axes_dims_rope. */
export type Positions = readonly (readonly number[])[];

/** What a FLUX model is told about time, guidance and the prompt as a whole. */
export interface FluxConditions {
  /** Pooled embeddings of the prompts [B, pooled_projection_dim]. */
  pooledProjections: Tensor;
  /**
   * Guidance scale, one for all rows or one a row:
   * for models that are told it (guidance_embeds), and only for them.
   */
  guidance?: number | readonly number[] | undefined;
}

/** Options of `FluxTransformer2DModel.forward`. */
export type FluxTransformer2DOptions =
  & {
    /** Embeddings of the prompts' tokens [B, N, joint_attention_dim]. */
    encoderHiddenStates: Tensor;
    /** Where the latents' tokens stand in the picture [L, axes]. */
    imgIds: Positions;
    /** Where the prompts' tokens stand: in FLUX all at 0. [N, axes] */
    txtIds: Positions;
  }
  & (
    | { /** What `condition` made for this step. [B, total] */ modulation: Tensor }
    | (FluxConditions & {
      /** One for all rows or one a row, from 0 to 1. */ timestep: number | readonly number[];
    })
  );

/** What a FluxTransformer2DModel reads: of its last entries either `modulation` or the features. */
export type FluxTransformer2DInputs =
  & {
    /** [B, L, in_channels] */
    hiddenStates: Tensor;
    /** [B, N, joint_attention_dim] */
    encoderHiddenStates: Tensor;
    /** Angles of the tokens, texts first [N + L, attention_head_dim / 2]. */
    cos: Tensor;
    sin: Tensor;
    modulation?: Tensor;
  }
  & Partial<FluxTimeText>;

const NOT_BUILT = [
  "controlnetBlockSamples",
  "controlnetSingleBlockSamples",
  "ipAdapterImageEmbeds",
  "jointAttentionKwargs",
];

const OPTIONS = [
  "encoderHiddenStates",
  "imgIds",
  "txtIds",
  "modulation",
  "pooledProjections",
  "guidance",
  "timestep",
  "taps",
];

/** Checks what `forward` was called with, and turns its numbers into tensors. */
export function fluxTransformer2DInputs(
  hiddenStates: Tensor,
  options: FluxTransformer2DOptions,
  tables: PositionCache,
  config: FluxTransformer2DConfig,
): FluxTransformer2DInputs {
  expectOptions(
    "denoise",
    options,
    OPTIONS,
    (name) => NOT_BUILT.includes(name) ? "control nets and image prompts are not built" : undefined,
  );
  expectInput("use hiddenStates", hiddenStates, ["B", "L", config.in_channels]);
  const [B, L] = hiddenStates.shape as Shape<2>;
  const { encoderHiddenStates, imgIds, txtIds } = options;
  expectInput("use encoderHiddenStates", encoderHiddenStates, [B, "N", config.joint_attention_dim]);
  const N = encoderHiddenStates.shape[1]!;
  expectPositions("imgIds", imgIds, L, config);
  expectPositions("txtIds", txtIds, N, config);
  const inputs = { hiddenStates, encoderHiddenStates, ...tables.of([...txtIds, ...imgIds], config) };
  if ("modulation" in options && options.modulation) {
    expectInput("use modulation", options.modulation, [B, modulationWidth(config)]);
    return { ...inputs, modulation: options.modulation };
  }
  if (!("timestep" in options)) {
    throw new TypeError(
      "Cannot denoise: expected a timestep, or a modulation made by condition(), got neither",
    );
  }
  const times = onePerRow("timestep", options.timestep, B);
  return { ...inputs, ...toldInputs(features(times).unsqueeze(0), options, B, config) };
}

/** What `condition` reads. time: features [S, 1 or B, 256] */
export function toldInputs(
  time: Tensor,
  { pooledProjections, guidance }: FluxConditions,
  B: number,
  config: FluxTransformer2DConfig,
): FluxTimeText {
  expectInput("use pooledProjections", pooledProjections, [B, config.pooled_projection_dim]);
  const told: FluxTimeText = { time, pooled: pooledProjections.unsqueeze(0) };
  const wanted = config.guidance_embeds;
  if (wanted !== (guidance !== undefined)) {
    throw new TypeError(
      `Cannot denoise: expected ${wanted ? "guidance, got none" : "no guidance, got one"}; ` +
        `guidance_embeds is ${wanted}`,
    );
  }
  if (guidance !== undefined) told.guidance = features(onePerRow("guidance", guidance, B)).unsqueeze(0);
  return told;
}

const FEATURES = 256;

/** Sinusoidal features of timesteps or guidance scales, which the model takes times 1000. → [values, 256] */
export function features(values: readonly number[]): Tensor {
  const thousandfold = values.map((value) => Math.fround(Math.fround(value) * 1000));
  return timestepEmbedding(thousandfold, { dim: FEATURES, flipSinToCos: true, downscaleFreqShift: 0 });
}

function expectPositions(name: string, ids: Positions, count: number, config: FluxTransformer2DConfig): void {
  const axes = config.axes_dims_rope.length;
  if (!Array.isArray(ids)) {
    throw new TypeError(
      `Cannot use ${name}: expected a list of ${count} lists of ${axes} numbers, got ${nameOfKind(ids)}`,
    );
  }
  const odd = ids.find((id) => id.length !== axes);
  if (ids.length === count && !odd) return;
  throw new RangeError(
    `Cannot use ${name}: expected ${count} tokens with ${axes} numbers each, got ` +
      `${ids.length} tokens${odd ? `, one with ${odd.length}` : ""}`,
  );
}

/**
 * The tables of the positions that were asked for last:
 * in a loop they stay, and are neither made nor sent again.
 */
export class PositionCache {
  #ids: Positions = [];
  #tables: { cos: Tensor; sin: Tensor } | undefined;

  /** → [tokens, attention_head_dim / 2] twice */
  of(ids: Positions, config: FluxTransformer2DConfig): { cos: Tensor; sin: Tensor } {
    if (this.#tables && samePositions(ids, this.#ids)) return this.#tables;
    this.clear();
    const { cos, sin } = fluxPosEmbed(ids, config.axes_dims_rope);
    const shape = [ids.length, config.attention_head_dim / 2];
    this.#ids = ids.map((id) => [...id]);
    return this.#tables = { cos: hold(tensor(cos, shape)), sin: hold(tensor(sin, shape)) };
  }

  /** Gives the tables' memory back. */
  clear(): void {
    if (!this.#tables) return;
    letGo(this.#tables.cos);
    letGo(this.#tables.sin);
    this.#tables = undefined;
  }
}

function samePositions(a: Positions, b: Positions): boolean {
  return a.length === b.length && a.every((id, i) => id.every((n, axis) => n === b[i]![axis]));
}
