import type { StoredTensor } from "../formats/stored_tensor.ts";
import { splitRows, transposed } from "../formats/stored_view.ts";
import { countOf, type Infos, renamed, shapeOf, type Stored } from "./keys.ts";

/** Text encoders of single files: OpenAI's CLIP under transformers' names, and OpenCLIP under its own. */

const WHAT = "the text encoder";
const HEAD_WIDTH = 64; // of every CLIP that draws

/** Config keys of both. eos_token_id 2, as in old configs: texts end at the token with the highest id. */
function common(
  [vocab_size, hidden_size]: readonly number[],
  [positions]: readonly number[],
): Record<string, unknown> {
  return {
    vocab_size,
    hidden_size,
    max_position_embeddings: positions,
    num_attention_heads: hidden_size! / HEAD_WIDTH,
    eos_token_id: 2,
  };
}

/** The config of OpenAI's CLIP, from keys and shapes. */
export function clipConfig(tensors: Infos, prefix: string): Record<string, unknown> {
  const root = tensors.has(`${prefix}text_model.embeddings.position_embedding.weight`)
    ? `${prefix}text_model.`
    : prefix;
  const shape = (key: string) => shapeOf(tensors, root + key, WHAT);
  const words = shape("embeddings.token_embedding.weight");
  return {
    ...common(words, shape("embeddings.position_embedding.weight")),
    num_hidden_layers: countOf(tensors, `${root}encoder.layers.`),
    intermediate_size: shape("encoder.layers.0.mlp.fc1.weight")[0],
    projection_dim: tensors.get(`${prefix}text_projection.weight`)?.shape[0] ?? words[1],
    hidden_act: words[1]! > 768 ? "gelu" : "quick_gelu", // wider ones are OpenCLIP under OpenAI's names
  };
}

/** The tensors of OpenAI's CLIP that embed texts. */
export function clipView(tensors: Stored, prefix: string): Map<string, StoredTensor> {
  return renamed(
    tensors,
    prefix,
    (key) => /^(text_model\.)?(embeddings|encoder|final_layer_norm)\./.test(key) ? key : undefined,
  );
}

/** The parts of an OpenCLIP that are read. */
export interface OpenClipUse {
  /** The projection of whole texts is read too, as by SDXL. */
  readonly projection: boolean;
}

/** The number of layers that are read: SD 2 takes the output of the last but one. */
function layersOf(tensors: Infos, prefix: string, { projection }: OpenClipUse): number {
  return countOf(tensors, `${prefix}transformer.resblocks.`) - (projection ? 0 : 1);
}

/** The config of an OpenCLIP, from keys and shapes. */
export function openClipConfig(tensors: Infos, prefix: string, use: OpenClipUse): Record<string, unknown> {
  const shape = (key: string) => shapeOf(tensors, prefix + key, WHAT);
  return {
    ...common(shape("token_embedding.weight"), shape("positional_embedding")),
    num_hidden_layers: layersOf(tensors, prefix, use),
    intermediate_size: shape("transformer.resblocks.0.mlp.c_fc.weight")[0],
    ...use.projection && { projection_dim: shape("text_projection")[1] },
    hidden_act: "gelu",
  };
}

/** Names in a layer of OpenCLIP. */
const LAYERS: readonly (readonly [from: RegExp, to: string])[] = [
  [/^ln_([12])\./, "layer_norm$1."],
  [/^attn\.out_proj\./, "self_attn.out_proj."],
  [/^mlp\.c_fc\./, "mlp.fc1."],
  [/^mlp\.c_proj\./, "mlp.fc2."],
];

/** The tensors of an OpenCLIP under transformers' names: q, k and v are rows of one matrix. */
export function openClipView(tensors: Stored, prefix: string, use: OpenClipUse): Map<string, StoredTensor> {
  const layers = layersOf(tensors, prefix, use);
  return renamed(tensors, prefix, (key, tensor) => {
    if (key === "positional_embedding") return "text_model.embeddings.position_embedding.weight";
    if (key === "token_embedding.weight") return "text_model.embeddings.token_embedding.weight";
    if (key.startsWith("ln_final.")) return key.replace("ln_final", "text_model.final_layer_norm");
    if (key === "text_projection") {
      return use.projection ? { ...transposed(tensor), name: "text_projection.weight" } : undefined;
    }
    const [, number, rest] = /^transformer\.resblocks\.(\d+)\.(.*)$/.exec(key) ?? [];
    if (!number || Number(number) >= layers) return undefined;
    const layer = `text_model.encoder.layers.${number}.`;
    const [, fused] = /^attn\.in_proj_(weight|bias)$/.exec(rest!) ?? [];
    if (fused) {
      const width = tensor.shape[0]! / 3;
      return splitRows(tensor, [width, width, width]).map((part, i) => ({
        ...part,
        name: `${layer}self_attn.${"qkv"[i]}_proj.${fused}`,
      }));
    }
    return layer + LAYERS.reduce((name, [from, to]) => name!.replace(from, to), rest);
  });
}
