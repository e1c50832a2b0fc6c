import type { Shape } from "../../core/shape.ts";
import { FLUX_NAMES, SWAPPED } from "./flux.ts";
import type { StoredTensor } from "../formats/stored_tensor.ts";
import { splitRows, swappedHalves } from "../formats/stored_view.ts";
import { countOf, type Infos, renamed, shapeOf, type Stored, valueIn } from "./keys.ts";

/**
 * The transformer of FLUX under the names of its own code (black-forest-labs/flux, model.py), where q, k and
 * v are rows of one matrix, in single blocks together with the first layer behind them.
 */

const WHAT = "the transformer";

/**
 * What the keys and shapes say of a FluxTransformer2DModel's config;
 * rope's axes are those of all FLUX models.
 */
export function bflFluxConfig(tensors: Infos, prefix: string): Record<string, unknown> {
  const shape = (key: string) => shapeOf(tensors, prefix + key, WHAT);
  const [width, in_channels] = shape("img_in.weight") as Shape<2>;
  const head = shape("double_blocks.0.img_attn.norm.query_norm.scale")[0]!;
  const [outputs] = shape("final_layer.linear.weight");
  return {
    _class_name: "FluxTransformer2DModel",
    patch_size: 1,
    in_channels,
    out_channels: outputs === in_channels ? null : outputs,
    num_layers: countOf(tensors, `${prefix}double_blocks.`),
    num_single_layers: countOf(tensors, `${prefix}single_blocks.`),
    attention_head_dim: head,
    num_attention_heads: width / head,
    joint_attention_dim: shape("txt_in.weight")[1],
    pooled_projection_dim: shape("vector_in.in_layer.weight")[1],
    guidance_embeds: tensors.has(`${prefix}guidance_in.in_layer.weight`),
    axes_dims_rope: [16, 56, 56],
  };
}

/** The tensors of a FLUX transformer under diffusers' names. */
export function bflFluxView(tensors: Stored, prefix: string): Map<string, StoredTensor> {
  const width = shapeOf(tensors, `${prefix}img_in.weight`, WHAT)[0]!;
  return renamed(tensors, prefix, (key, tensor) => {
    const [, block, number = "", layer, leaf] =
      /^((?:double|single)_blocks\.(\d+)\.)?(.+)\.(\w+)$/.exec(key) ?? [];
    const row = block ? block.replace(number, "N") + layer! : layer!;
    const parts = valueIn(FLUX_NAMES, row);
    if (!parts) return block && key; // of a block it is told as not read; at the root it is of other parts
    const last = leaf === "scale" ? "weight" : leaf;
    const names = parts.map((part) => `${part.replace(".N.", `.${number}.`)}.${last}`);
    if (row === SWAPPED) return { ...swappedHalves(tensor), name: names[0]! };
    if (names.length === 1) return names[0];
    const sizes = names.map((_, i) => i < 3 ? width : tensor.shape[0]! - 3 * width); // q, k, v, and the layer behind
    return splitRows(tensor, sizes).map((part, i) => ({ ...part, name: names[i]! }));
  });
}
