import { z } from "zod";
import { absentIfNull, type ConfigSchema, flag, positive, withCheck } from "../../io/config.ts";
import { patchKey, patchSizes, type ZImageTransformer2DConfig } from "../z_image_transformer_2d/config.ts";

/** A ZImageControlNetModel's config: the keys of its config.json, those in common as the transformer has them. */
export interface ZImageControlNetConfig extends
  Pick<
    ZImageTransformer2DConfig,
    | "all_patch_size"
    | "all_f_patch_size"
    | "dim"
    | "n_refiner_layers"
    | "n_heads"
    | "n_kv_heads"
    | "norm_eps"
    | "qk_norm"
  > {
  /** The class that the file is for. */
  _class_name?: "ZImageControlNetModel" | undefined;
  /** Blocks of the transformer, counted from 0, behind which one of control_layers adds; the first is 0. */
  control_layers_places: number[];
  /** Blocks of the transformer's noise_refiner, behind which the refiner of the picture adds. */
  control_refiner_layers_places?: number[] | undefined;
  /** Channels of what controls: of latents, or of latents, a mask and the latents of what it leaves. */
  control_in_dim: number;
  /**
   * Blocks that refine the picture together with the noise, and add to it: control_layers itself (version 2.0) or
   * control_noise_refiner (2.1). Without them control_noise_refiner sees the picture alone (version 1).
   */
  add_control_noise_refiner?: "control_layers" | "control_noise_refiner" | undefined;
}

const places = z.array(z.int().nonnegative()).min(1);

/** The keys, with diffusers' defaults for those that a file lacks. */
const keys = z.looseObject({
  _class_name: z.literal("ZImageControlNetModel").optional(),
  control_layers_places: places,
  control_refiner_layers_places: absentIfNull(places.optional()),
  control_in_dim: positive,
  add_control_noise_refiner: absentIfNull(z.enum(["control_layers", "control_noise_refiner"]).optional()),
  all_patch_size: z.array(positive).min(1).default([2]),
  all_f_patch_size: z.array(positive).min(1).default([1]),
  dim: positive.default(3840),
  n_refiner_layers: positive.default(2),
  n_heads: positive.default(30),
  n_kv_heads: positive.default(30),
  norm_eps: z.number().positive().default(1e-5),
  qk_norm: flag(true),
});

/** Checks a ZImageControlNetModel's config and fills in its defaults. */
export const zImageControlNetConfig: ConfigSchema<ZImageControlNetConfig> = withCheck(
  keys,
  (config, expect) => {
    const { control_layers_places, control_refiner_layers_places, all_patch_size, all_f_patch_size } = config;
    if (control_layers_places[0] !== 0) {
      expect("control_layers_places", "numbers of blocks of which the first is 0");
    }
    if (all_patch_size.length !== all_f_patch_size.length) {
      expect("all_f_patch_size", `${all_patch_size.length} numbers, as all_patch_size has`);
    }
    const layers = refinerLayers(config);
    if (layers > 0 && (control_refiner_layers_places?.length ?? Infinity) > layers) {
      expect("control_refiner_layers_places", `at most ${layers} numbers, as there are blocks`);
    }
  },
);

/** Number of blocks that add to the transformer's noise_refiner. */
function refinerLayers(
  { add_control_noise_refiner: kind, control_layers_places, n_refiner_layers }: ZImageControlNetConfig,
): number {
  if (!kind) return 0;
  return kind === "control_layers" ? control_layers_places.length : n_refiner_layers;
}

/** Throws unless a ControlNet was made for such a transformer, whose modules it shares. */
export function expectOfTransformer(
  config: ZImageControlNetConfig,
  transformer: ZImageTransformer2DConfig,
): void {
  const refuse = (key: string, expected: unknown, got: unknown) => {
    throw new TypeError(
      `Cannot control by this ControlNet: expected ${key} ${expected}, as the transformer has, got ${got}; it is for another model`,
    );
  };
  for (const key of ["dim", "n_heads"] as const) {
    if (config[key] !== transformer[key]) refuse(key, transformer[key], config[key]);
  }
  const sizes = ({ all_patch_size, all_f_patch_size }: typeof config | typeof transformer) =>
    patchSizes({ all_patch_size, all_f_patch_size }).map(patchKey).join(", ");
  if (sizes(config) !== sizes(transformer)) refuse("all_patch_size", sizes(transformer), sizes(config));
  const most = [
    ["control_layers_places", transformer.n_layers],
    ["control_refiner_layers_places", transformer.n_refiner_layers],
  ] as const;
  for (const [key, count] of most) {
    const odd = config[key]?.find((place) => place >= count);
    if (odd !== undefined) refuse(key, `below ${count}`, odd);
  }
}
