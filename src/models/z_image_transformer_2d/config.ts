import { z } from "zod";
import { type ConfigSchema, flag, positive, withCheck } from "../../io/config.ts";

/** A ZImageTransformer2DModel's config: the keys of its config.json, of which files lack some. */
export interface ZImageTransformer2DConfig {
  /** The class that the file is for. */
  _class_name?: "ZImageTransformer2DModel" | undefined;
  /** Latents on a side of a token; a model may have layers for several sizes. */
  all_patch_size: number[];
  /** Frames of a token, one number for each of all_patch_size. */
  all_f_patch_size: number[];
  /** Channels of the latents. */
  in_channels: number;
  /** Width of a token. */
  dim: number;
  /** Blocks over picture and caption together. */
  n_layers: number;
  /** Blocks over the picture alone, and as many over the caption alone, before them. */
  n_refiner_layers: number;
  /** Heads of all attention. */
  n_heads: number;
  /** In files and not used, as in diffusers: there are as many heads of keys and values as of queries. */
  n_kv_heads: number;
  /** Added to the mean square in the norms of tokens; in those of heads it is 1e-5 always. */
  norm_eps: number;
  /** Queries and keys are normalised. */
  qk_norm: boolean;
  /** Width of a token of the caption. */
  cap_feat_dim: number;
  /** Width of picture embeddings, for Omni, which is not built; null elsewhere. */
  siglip_feat_dim: null;
  /** Base θ of the frequencies by which heads rotate. */
  rope_theta: number;
  /** Factor on `t` in front of its sinusoidal features. */
  t_scale: number;
  /** Number of a head's values that rotate by each axis of a token's position: caption and frame, row, column. */
  axes_dims: number[];
  /** Positions that each axis has. */
  axes_lens: number[];
}

const three = <T extends z.ZodType>(item: T) => z.array(item).length(3);
const even = positive.refine((n) => n % 2 === 0, "an even number");

/** The keys, with diffusers' defaults for those that a file lacks. */
const keys = z.looseObject({
  _class_name: z.literal("ZImageTransformer2DModel").optional(),
  all_patch_size: z.array(positive).min(1).default([2]),
  all_f_patch_size: z.array(positive).min(1).default([1]),
  in_channels: positive.default(16),
  dim: positive.default(3840),
  n_layers: z.int().nonnegative().default(30),
  n_refiner_layers: z.int().nonnegative().default(2),
  n_heads: positive.default(30),
  n_kv_heads: positive.default(30),
  norm_eps: z.number().positive().default(1e-5),
  qk_norm: flag(true),
  cap_feat_dim: positive.default(2560),
  siglip_feat_dim: z.custom<null>((value) => value === null, "null, as Omni is not built").default(null),
  rope_theta: z.number().positive().default(256),
  t_scale: z.number().positive().default(1000),
  axes_dims: three(even).default([32, 48, 48]),
  axes_lens: three(positive).default([1024, 512, 512]),
});

/** Checks a ZImageTransformer2DModel's config and fills in its defaults. */
export const zImageTransformer2DConfig: ConfigSchema<ZImageTransformer2DConfig> = withCheck(
  keys,
  ({ all_patch_size, all_f_patch_size, dim, n_heads, axes_dims }, expect) => {
    const sum = axes_dims.reduce((a, b) => a + b, 0);
    if (Math.floor(dim / n_heads) !== sum) {
      expect("axes_dims", `numbers whose sum is dim / n_heads, ${Math.floor(dim / n_heads)}`);
    }
    if (all_patch_size.length !== all_f_patch_size.length) {
      expect("all_f_patch_size", `${all_patch_size.length} numbers, as all_patch_size has`);
    }
  },
);

/** Sizes of a token in latents: its side, and its number of frames. */
export type PatchSize = readonly [side: number, frames: number];

/** Sizes of tokens that the model has layers for, in the order of the config. */
export function patchSizes(
  { all_patch_size, all_f_patch_size }: Pick<
    ZImageTransformer2DConfig,
    "all_patch_size" | "all_f_patch_size"
  >,
): PatchSize[] {
  return all_patch_size.map((side, i) => [side, all_f_patch_size[i]!]);
}

/** Name of the layers for a size of tokens in the checkpoint, e.g. "2-1". */
export function patchKey([side, frames]: PatchSize): string {
  return `${side}-${frames}`;
}

/** Width of a head. */
export function headWidth({ dim, n_heads }: Pick<ZImageTransformer2DConfig, "dim" | "n_heads">): number {
  return Math.floor(dim / n_heads);
}

const ADALN_WIDTH = 256;

/** Width of the embedding of time. */
export function timeWidth({ dim }: Pick<ZImageTransformer2DConfig, "dim">): number {
  return Math.min(dim, ADALN_WIDTH);
}
