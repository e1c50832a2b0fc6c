import { z } from "zod";
import { type ConfigSchema, positive, withCheck } from "../../io/config.ts";

/** A T2IAdapter's config: the keys of its config.json. */
export interface T2IAdapterConfig {
  /** The class that the file is for. */
  _class_name?: "T2IAdapter" | undefined;
  /** Channels of the picture: 1 where only its luma counts. */
  in_channels: number;
  /** Widths of its blocks; a light one has one more of the last width. */
  channels: number[];
  /** Residual blocks in each. */
  num_res_blocks: number;
  /** Pixels on a side of what the first block sees as one. */
  downscale_factor: number;
  /** Which blocks there are, and which of them halve the picture. */
  adapter_type: "full_adapter" | "full_adapter_xl" | "light_adapter";
}

/** The keys, with diffusers' defaults for those that a file lacks. */
const keys = z.looseObject({
  _class_name: z.literal("T2IAdapter").optional(),
  in_channels: positive.default(3),
  channels: z.array(positive).min(1).default([320, 640, 1280, 1280]),
  num_res_blocks: positive.default(2),
  downscale_factor: positive.default(8),
  adapter_type: z.enum(["full_adapter", "full_adapter_xl", "light_adapter"]).default("full_adapter"),
});

/** Checks a T2IAdapter's config and fills in its defaults. */
export const t2iAdapterConfig: ConfigSchema<T2IAdapterConfig> = withCheck(
  keys,
  ({ adapter_type, channels }, expect) => {
    if (adapter_type === "light_adapter" && channels.some((n) => n < 4)) {
      expect("channels", "numbers from 4 in a light adapter, whose blocks are a quarter as wide");
    }
    const odd = channels.findIndex((n, i) => i > 2 && n !== channels[i - 1]);
    if (adapter_type === "full_adapter_xl" && odd >= 0) {
      expect("channels", "numbers that are the same from the third on, as in full_adapter_xl");
    }
  },
);

/** A block: how wide it is, and whether it halves the picture first. */
export interface AdapterLevel {
  readonly channels: number;
  readonly halves: boolean;
}

/** The blocks of an adapter. */
export function levelsOf({ adapter_type, channels }: T2IAdapterConfig): AdapterLevel[] {
  const all = adapter_type === "light_adapter" ? [...channels, channels.at(-1)!] : channels;
  return all.map((channels, i) => ({
    channels,
    halves: adapter_type === "full_adapter_xl" ? i === 2 : i > 0,
  }));
}
