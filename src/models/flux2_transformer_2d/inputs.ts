import { expectOptions } from "../../core/error.ts";
import type { Shape } from "../../core/shape.ts";
import type { Tensor } from "../../tensor/mod.ts";
import { features } from "../flux_transformer_2d/inputs.ts";
import { expectPositions, type PositionCache, type Positions } from "../flux_transformer_2d/pos_embed.ts";
import type { SkipOptions } from "../runtime/model.ts";
import { expectInput, onePerRow } from "../inputs.ts";
import type { Flux2Transformer2DConfig } from "./config.ts";

/** Options of `Flux2Transformer2DModel.forward`. */
export interface Flux2Transformer2DOptions extends SkipOptions {
  /** Embeddings of the prompts' tokens [B, N, joint_attention_dim]. */
  encoderHiddenStates: Tensor;
  /** Positions of the latents' tokens and of those of reference pictures: (time, row, column, layer) each. [L, axes] */
  imgIds: Positions;
  /** Positions of the prompts' tokens: (0, 0, 0, i) of token i. [N, axes] */
  txtIds: Positions;
  /** One for all rows or one a row, from 0 to 1. */
  timestep: number | readonly number[];
  /** Guidance scale, one for all rows or one a row, which models with guidance_embeds read; it may be left out. */
  guidance?: number | readonly number[] | undefined;
}

/** Tensors that a Flux2Transformer2DModel reads. */
export type Flux2Transformer2DInputs = {
  /** [B, L, in_channels] */
  hiddenStates: Tensor;
  /** [B, N, joint_attention_dim] */
  encoderHiddenStates: Tensor;
  /** Angles of the tokens, texts first [N + L, attention_head_dim / 2]. */
  cos: Tensor;
  sin: Tensor;
  /** Features of the timesteps [B, timestep_guidance_channels]. */
  time: Tensor;
  /** Features of the guidance scales [B, timestep_guidance_channels]. */
  guidance?: Tensor;
};

const NOT_BUILT: Readonly<Record<string, string>> = {
  jointAttentionKwargs: "IP-Adapters of FLUX.2 are not built",
  kvCache: "keys and values of references are computed at every step, as klein was trained",
  kvCacheMode: "keys and values of references are computed at every step, as klein was trained",
};

const OPTIONS = ["encoderHiddenStates", "imgIds", "txtIds", "timestep", "guidance", "skipLayers", "taps"];

/** Checks the arguments of `forward`, and makes tensors of its numbers. */
export function flux2Transformer2DInputs(
  hiddenStates: Tensor,
  options: Flux2Transformer2DOptions,
  tables: PositionCache,
  config: Flux2Transformer2DConfig,
): Flux2Transformer2DInputs {
  expectOptions("denoise", options, OPTIONS, (name) => NOT_BUILT[name]);
  expectInput("use hiddenStates", hiddenStates, ["B", "L", config.in_channels]);
  const [B, L] = hiddenStates.shape as Shape<2>;
  const { encoderHiddenStates, imgIds, txtIds, timestep, guidance } = options;
  expectInput("use encoderHiddenStates", encoderHiddenStates, [B, "N", config.joint_attention_dim]);
  expectPositions("imgIds", imgIds, L, config);
  expectPositions("txtIds", txtIds, encoderHiddenStates.shape[1]!, config);
  if (guidance !== undefined && !config.guidance_embeds) {
    throw new TypeError("Cannot denoise: expected no guidance, got one; guidance_embeds is false");
  }
  const featuresOf = (name: string, values: number | readonly number[]) =>
    features(onePerRow(name, values, B), config.timestep_guidance_channels);
  return {
    hiddenStates,
    encoderHiddenStates,
    ...tables.of([...txtIds, ...imgIds], config),
    time: featuresOf("timestep", timestep),
    ...(guidance === undefined ? {} : { guidance: featuresOf("guidance", guidance) }),
  };
}
