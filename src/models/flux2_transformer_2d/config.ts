import { z } from "zod";
import { type ConfigSchema, flag, positive, withCheck } from "../../io/config.ts";

/** A Flux2Transformer2DModel's config: the keys of its config.json, of which files lack some. */
export interface Flux2Transformer2DConfig {
  /** The class that the file is for. */
  _class_name?: "Flux2Transformer2DModel" | undefined;
  /** Latents on a side of a token of the output. */
  patch_size: number;
  /** Width of a token of the latents, which the autoencoder has packed already. */
  in_channels: number;
  /** Width of a token of the output over patch_size²; null: as in_channels. */
  out_channels: number | null;
  /** Blocks in which text and picture are two streams. */
  num_layers: number;
  /** Blocks in which they are one. */
  num_single_layers: number;
  /** Width of a head. */
  attention_head_dim: number;
  /** Heads of all attention. */
  num_attention_heads: number;
  /** Width of a token of the text. */
  joint_attention_dim: number;
  /** Sinusoidal features of a timestep, and of a guidance scale. */
  timestep_guidance_channels: number;
  /** Width of the feed-forward layers, in widths of a token. */
  mlp_ratio: number;
  /** Number of a head's values that rotate by each axis of a token's position. */
  axes_dims_rope: number[];
  /** Base θ of the frequencies by which positions become angles. */
  rope_theta: number;
  /** Added to variances and mean squares in all norms. */
  eps: number;
  /** The model was distilled with guidance and reads its scale (dev); klein reads none. */
  guidance_embeds: boolean;
}

/** The keys, with diffusers' defaults for those that a file lacks. */
const keys = z.looseObject({
  _class_name: z.literal("Flux2Transformer2DModel").optional(),
  patch_size: positive.default(1),
  in_channels: positive.default(128),
  out_channels: positive.nullable().default(null),
  num_layers: z.int().nonnegative().default(8),
  num_single_layers: z.int().nonnegative().default(48),
  attention_head_dim: positive.default(128),
  num_attention_heads: positive.default(48),
  joint_attention_dim: positive.default(15360),
  timestep_guidance_channels: z.int().min(2).default(256),
  mlp_ratio: z.number().positive().default(3),
  axes_dims_rope: z.array(positive.refine((n) => n % 2 === 0, "an even number")).min(1)
    .default([32, 32, 32, 32]),
  rope_theta: z.number().positive().default(2000),
  eps: z.number().positive().default(1e-6),
  guidance_embeds: flag(true),
});

/** Checks a Flux2Transformer2DModel's config and fills in its defaults. */
export const flux2Transformer2DConfig: ConfigSchema<Flux2Transformer2DConfig> = withCheck(
  keys,
  ({ axes_dims_rope: axes, attention_head_dim }, expect) => {
    const sum = axes.reduce((a, b) => a + b, 0);
    if (sum !== attention_head_dim) expect("attention_head_dim", `${sum}, the sum of axes_dims_rope`);
  },
);

/** Width D of both streams. */
export function innerDim({ num_attention_heads, attention_head_dim }: Flux2Transformer2DConfig): number {
  return num_attention_heads * attention_head_dim;
}

/** Width of the feed-forward layers. */
export function mlpDim(config: Flux2Transformer2DConfig): number {
  return Math.floor(innerDim(config) * config.mlp_ratio);
}
