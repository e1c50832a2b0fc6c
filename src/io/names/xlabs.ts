import { FLUX_NAMES } from "./flux.ts";

/**
 * What xlabs calls layers of a FLUX transformer, as `processor.qkv_lora1` in a double block: 1 is of the
 * picture, 2 of the text. A row is one of FLUX_NAMES; of a single block's fused layer xlabs has the attention
 * alone.
 */
export const XLABS_NAMES: Readonly<Record<string, readonly string[]>> = {
  "double_blocks.N.qkv1": FLUX_NAMES["double_blocks.N.img_attn.qkv"]!,
  "double_blocks.N.qkv2": FLUX_NAMES["double_blocks.N.txt_attn.qkv"]!,
  "double_blocks.N.proj1": FLUX_NAMES["double_blocks.N.img_attn.proj"]!,
  "double_blocks.N.proj2": FLUX_NAMES["double_blocks.N.txt_attn.proj"]!,
  "single_blocks.N.qkv": FLUX_NAMES["single_blocks.N.linear1"]!.slice(0, 3),
  "single_blocks.N.proj": FLUX_NAMES["single_blocks.N.linear2"]!,
};
