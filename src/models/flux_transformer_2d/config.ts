import { z } from "zod";
import { type ConfigSchema, flag, positive, withCheck } from "../../io/config.ts";

/** A FluxTransformer2DModel's config: the keys of its config.json, of which files lack some. */
export interface FluxTransformer2DConfig {
  /** The class that the file is for. */
  _class_name?: "FluxTransformer2DModel" | undefined;
  /** Latents on a side of a token of the output. */
  patch_size: number;
  /** Width of a token of the latents; for inpainting and control those of more pictures side by side. */
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
  /** Width of the pooled text. */
  pooled_projection_dim: number;
  /** The model was distilled with guidance and reads its scale (dev); schnell reads none. */
  guidance_embeds: boolean;
  /** Number of a head's values that rotate by each axis of a token's position. */
  axes_dims_rope: number[];
}

/** The keys that a transformer and its ControlNets share, with diffusers' defaults for those that a file lacks. */
export const sharedKeys = {
  patch_size: positive.default(1),
  in_channels: positive.default(64),
  num_layers: z.int().nonnegative().default(19),
  num_single_layers: z.int().nonnegative().default(38),
  attention_head_dim: positive.default(128),
  num_attention_heads: positive.default(24),
  joint_attention_dim: positive.default(4096),
  pooled_projection_dim: positive.default(768),
  guidance_embeds: flag(false),
  axes_dims_rope: z.array(positive.refine((n) => n % 2 === 0, "an even number")).min(1).default([16, 56, 56]),
};

const keys = z.looseObject({
  ...sharedKeys,
  _class_name: z.literal("FluxTransformer2DModel").optional(),
  out_channels: positive.nullable().default(null),
});

/** Checks a FluxTransformer2DModel's config and fills in its defaults. */
export const fluxTransformer2DConfig: ConfigSchema<FluxTransformer2DConfig> = withCheck(keys, checkAxes);

/** Expects that the axes of positions share all values of a head. */
export function checkAxes(
  { axes_dims_rope, attention_head_dim }: Pick<
    FluxTransformer2DConfig,
    "axes_dims_rope" | "attention_head_dim"
  >,
  expect: (key: "attention_head_dim", expected: string) => void,
): void {
  const sum = axes_dims_rope.reduce((a, b) => a + b, 0);
  if (sum !== attention_head_dim) expect("attention_head_dim", `${sum}, the sum of axes_dims_rope`);
}

/** Numbers and widths of blocks. */
export type FluxBlockCounts = Pick<
  FluxTransformer2DConfig,
  "num_layers" | "num_single_layers" | "attention_head_dim" | "num_attention_heads"
>;

/** Width D of both streams. */
export function innerDim({ num_attention_heads, attention_head_dim }: FluxBlockCounts): number {
  return num_attention_heads * attention_head_dim;
}
