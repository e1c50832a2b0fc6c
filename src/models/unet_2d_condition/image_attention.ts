import type { DType } from "../../core/dtype.ts";
import type { Tensor } from "../../tensor/mod.ts";
import { expectInput } from "../inputs.ts";
import type { ImageKeyValues } from "../ip_adapter/ip_adapter.ts";
import { type UNet2DConditionConfig, valueOf } from "./config.ts";

/**
 * Keys and values of pictures beside those of the prompt: of each adapter one of each layer of attention to the prompt,
 * in the order of `imageAttentionPaths`.
 */
export type ImageAttention = readonly (readonly ImageKeyValues[])[];

/** Names of inputs that have them: adapter, module path, "key" or "value". */
export type ImageInput = `imageAttention.${string}`;

/** The paths of all attention to the prompt, in the order of files of IP-Adapters: down, up, and the middle last. */
export function imageAttentionPaths(config: UNet2DConditionConfig): string[] {
  const levels = config.block_out_channels.length;
  const depths = config.transformer_layers_per_block;
  const up = config.reverse_transformer_layers_per_block ??
    (Array.isArray(depths) ? depths.toReversed() : depths);
  const block = (name: string, layers: number, depth: number | readonly number[]) =>
    Array.from({ length: layers }, (_, layer) =>
      Array.from(
        { length: valueOf(depth, layer) },
        (_, i) => `${name}.attentions.${layer}.transformer_blocks.${i}.attn2`,
      )).flat();
  const layersAt = (level: number) => valueOf(config.layers_per_block, level);
  return [
    ...config.down_block_types.flatMap((type, i) =>
      type === "CrossAttnDownBlock2D" ? block(`down_blocks.${i}`, layersAt(i), valueOf(depths, i)) : []
    ),
    ...config.up_block_types.flatMap((type, i) =>
      type === "CrossAttnUpBlock2D"
        ? block(`up_blocks.${i}`, layersAt(levels - 1 - i) + 1, valueOf(up, i))
        : []
    ),
    ...config.mid_block_type === "UNetMidBlock2DCrossAttn"
      ? block("mid_block", 1, valueOf(depths, levels - 1))
      : [],
  ];
}

/** The inputs of a call with pictures in so many rows. */
export function imageInputs(
  adapters: ImageAttention,
  rows: number,
  config: UNet2DConditionConfig,
): Record<ImageInput, Tensor> {
  const paths = imageAttentionPaths(config);
  const inputs: Record<ImageInput, Tensor> = {};
  for (const [i, layers] of adapters.entries()) {
    if (layers.length !== paths.length) {
      throw new RangeError(
        `Cannot see pictures: expected keys and values of ${paths.length} layers, as the UNet has, got ` +
          `${layers.length}; the IP-Adapter is for another model`,
      );
    }
    for (const [j, layer] of layers.entries()) {
      for (const name of ["key", "value"] as const) {
        expectInput(`use ${name}s of pictures`, layer[name], [rows, "tokens", "channels"]);
        inputs[`imageAttention.${i}.${paths[j]}.${name}`] = layer[name];
      }
    }
  }
  return inputs;
}

/** Keys and values of all adapters for the layer at a path, while it is traced. */
export function imagesAt(
  path: string,
  inputs: Readonly<Record<ImageInput, Tensor | undefined>>,
  dtype: DType,
): ImageKeyValues[] {
  const all: ImageKeyValues[] = [];
  for (let i = 0;; i++) {
    const [key, value] = [
      inputs[`imageAttention.${i}.${path}.key`],
      inputs[`imageAttention.${i}.${path}.value`],
    ];
    if (!key || !value) return all;
    all.push({ key: key.cast(dtype), value: value.cast(dtype) });
  }
}
