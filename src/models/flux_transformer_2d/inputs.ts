import { expectOptions } from "../../core/error.ts";
import type { Shape } from "../../core/shape.ts";
import { timestepEmbedding } from "../../ops/mod.ts";
import type { Tensor } from "../../tensor/mod.ts";
import type { SkipOptions } from "../runtime/model.ts";
import { expectInput, onePerRow } from "../inputs.ts";
import type { FluxTransformer2DConfig } from "./config.ts";
import { controlInputs, type FluxControlSamples } from "./control.ts";
import { type FluxConditioning, modulationWidth } from "./modulation.ts";
import { expectPositions, type PositionCache, type Positions } from "./pos_embed.ts";

/** Conditions of a FLUX model besides time and the prompt's tokens. */
export interface FluxConditions {
  /** Pooled embeddings of the prompts [B, pooled_projection_dim]. */
  pooledProjections: Tensor;
  /** Guidance scale, one for all rows or one a row: for models that read it (guidance_embeds), and only for them. */
  guidance?: number | readonly number[] | undefined;
}

/** Options of `FluxTransformer2DModel.forward`. */
export type FluxTransformer2DOptions =
  & SkipOptions
  & FluxControlSamples
  & {
    /** Embeddings of the prompts' tokens [B, N, joint_attention_dim]. */
    encoderHiddenStates: Tensor;
    /** Positions of the latents' tokens in the picture [L, axes]. */
    imgIds: Positions;
    /** Positions of the prompts' tokens: in FLUX all at 0. [N, axes] */
    txtIds: Positions;
  }
  & (
    | { /** The result of `condition` for this step. [B, total] */ modulation: Tensor }
    | (FluxConditions & {
      /** One for all rows or one a row, from 0 to 1. */ timestep: number | readonly number[];
    })
  );

/** Tensors that a FluxTransformer2DModel reads: of the last ones either `modulation` or the conditioning. */
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
  & Partial<FluxConditioning>;

const NOT_BUILT = ["ipAdapterImageEmbeds", "jointAttentionKwargs"];

const OPTIONS = [
  "encoderHiddenStates",
  "imgIds",
  "txtIds",
  "modulation",
  "pooledProjections",
  "guidance",
  "timestep",
  "controlnetBlockSamples",
  "controlnetSingleBlockSamples",
  "controlnetBlocksRepeat",
  "skipLayers",
  "taps",
];

/** Checks the arguments of `forward`, and makes tensors of its numbers. */
export function fluxTransformer2DInputs(
  hiddenStates: Tensor,
  options: FluxTransformer2DOptions,
  tables: PositionCache,
  { config, inChannels }: { readonly config: FluxTransformer2DConfig; readonly inChannels: number },
): FluxTransformer2DInputs {
  expectOptions(
    "denoise",
    options,
    OPTIONS,
    (name) => NOT_BUILT.includes(name) ? "image prompts are not built" : undefined,
  );
  expectInput("use hiddenStates", hiddenStates, ["B", "L", inChannels]);
  const [B, L] = hiddenStates.shape as Shape<2>;
  const { encoderHiddenStates, imgIds, txtIds } = options;
  expectInput("use encoderHiddenStates", encoderHiddenStates, [B, "N", config.joint_attention_dim]);
  const N = encoderHiddenStates.shape[1]!;
  expectPositions("imgIds", imgIds, L, config);
  expectPositions("txtIds", txtIds, N, config);
  const inputs = {
    hiddenStates,
    encoderHiddenStates,
    ...tables.of([...txtIds, ...imgIds], config),
    ...controlInputs(options, [B, L], config),
  };
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
  return { ...inputs, ...conditioningInputs(features(times).unsqueeze(0), options, B, config) };
}

/** Checks the conditions, and adds them to the features of time [S, 1 or B, 256]. */
export function conditioningInputs(
  time: Tensor,
  { pooledProjections, guidance }: FluxConditions,
  B: number,
  config: Pick<FluxTransformer2DConfig, "pooled_projection_dim" | "guidance_embeds">,
): FluxConditioning {
  expectInput("use pooledProjections", pooledProjections, [B, config.pooled_projection_dim]);
  const inputs: FluxConditioning = { time, pooled: pooledProjections.unsqueeze(0) };
  const wanted = config.guidance_embeds;
  if (wanted !== (guidance !== undefined)) {
    throw new TypeError(
      `Cannot denoise: expected ${wanted ? "guidance, got none" : "no guidance, got one"}; ` +
        `guidance_embeds is ${wanted}`,
    );
  }
  if (guidance !== undefined) inputs.guidance = features(onePerRow("guidance", guidance, B)).unsqueeze(0);
  return inputs;
}

/** Sinusoidal features of timesteps or guidance scales, which the model takes times 1000. → [values, dim] */
export function features(values: readonly number[], dim = 256): Tensor {
  const thousandfold = values.map((value) => Math.fround(Math.fround(value) * 1000));
  return timestepEmbedding(thousandfold, { dim, flipSinToCos: true, downscaleFreqShift: 0 });
}
