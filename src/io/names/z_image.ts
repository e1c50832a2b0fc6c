import type { Shape } from "../../core/shape.ts";
import type { StoredTensor } from "../formats/stored_tensor.ts";
import { asRow, splitRows } from "../formats/stored_view.ts";
import { countOf, type Infos, renamed, shapeOf, type Stored, valueIn } from "./keys.ts";

/** Lists of blocks of a Z-Image transformer. */
const LISTS = ["noise_refiner", "context_refiner", "layers"] as const;

/**
 * Layers of a Z-Image transformer that its own code (Tongyi-MAI/Z-Image) calls otherwise than diffusers, each with
 * diffusers' names: several where it is a fused matrix, in the order of their rows. N is the number of a block.
 */
export const Z_IMAGE_NAMES: Readonly<Record<string, readonly string[]>> = {
  "x_embedder": ["all_x_embedder.2-1"],
  "final_layer.linear": ["all_final_layer.2-1.linear"],
  "final_layer.adaLN_modulation.1": ["all_final_layer.2-1.adaLN_modulation.1"],
  ...Object.fromEntries(LISTS.flatMap((list) => {
    const attention = `${list}.N.attention`;
    return [
      [`${attention}.qkv`, ["to_q", "to_k", "to_v"].map((part) => `${attention}.${part}`)],
      [`${attention}.q_norm`, [`${attention}.norm_q`]],
      [`${attention}.k_norm`, [`${attention}.norm_k`]],
      [`${attention}.out`, [`${attention}.to_out.0`]],
    ];
  })),
};

const WHAT = "the transformer";

/** A ZImageTransformer2DModel's config, from keys and shapes; what these do not tell is that of all Z-Image models. */
export function zImageConfig(tensors: Infos, prefix: string): Record<string, unknown> {
  const shape = (key: string) => shapeOf(tensors, prefix + key, WHAT);
  const [dim, patch] = shape("x_embedder.weight") as Shape<2>;
  const norm = tensors.get(`${prefix}noise_refiner.0.attention.q_norm.weight`);
  const n_heads = dim / (norm?.shape[0] ?? 128);
  return {
    _class_name: "ZImageTransformer2DModel",
    all_patch_size: [2],
    all_f_patch_size: [1],
    in_channels: patch / 4,
    dim,
    n_layers: countOf(tensors, `${prefix}layers.`),
    n_refiner_layers: countOf(tensors, `${prefix}noise_refiner.`),
    n_heads,
    n_kv_heads: n_heads,
    norm_eps: 1e-5,
    qk_norm: norm !== undefined,
    cap_feat_dim: shape("cap_embedder.1.weight")[1],
    rope_theta: 256,
    t_scale: 1000,
    axes_dims: [32, 48, 48],
    axes_lens: [1536, 512, 512],
  };
}

const ROOTS =
  /^(x_embedder|final_layer|t_embedder|cap_embedder|noise_refiner|context_refiner|layers)\.|^(x|cap)_pad_token$/;

/** The tensors of a Z-Image transformer under diffusers' names. */
export function zImageView(tensors: Stored, prefix: string): Map<string, StoredTensor> {
  return renamed(tensors, prefix, (key, tensor) => {
    if (!ROOTS.test(key)) return undefined; // of other parts, or norm_final, which the model does not read
    if (key.endsWith("_pad_token")) return { ...asRow(tensor), name: key };
    const [, list, number, layer, leaf] = /^(?:([a-z_]+)\.(\d+)\.)?(.+)\.(\w+)$/.exec(key) ?? [];
    const row = number !== undefined && (LISTS as readonly string[]).includes(list!)
      ? `${list}.N.${layer}`
      : key.slice(0, key.lastIndexOf("."));
    const parts = valueIn(Z_IMAGE_NAMES, row);
    if (!parts) return key;
    const names = parts.map((part) => `${part.replace(".N.", `.${number}.`)}.${leaf}`);
    if (names.length === 1) return names[0];
    const rows = tensor.shape[0]! / names.length;
    return splitRows(tensor, names.map(() => rows)).map((part, i) => ({ ...part, name: names[i]! }));
  });
}
