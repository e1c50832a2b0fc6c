import type { StoredTensor } from "../formats/stored_tensor.ts";
import { countOf, type Infos, renamed, shapeOf, type Stored } from "./keys.ts";

const WHAT = "an IP-Adapter";

/** An IPAdapter's config, from keys and shapes. Throws for kinds that look at faces by other models. */
export function ipAdapterConfig(tensors: Infos): Record<string, unknown> {
  const shape = (key: string) => shapeOf(tensors, key, WHAT);
  const isFace = ["image_proj.norm.weight", "image_proj.perceiver_resampler.proj_in.weight"].find((key) =>
    tensors.has(key) && !tensors.has("image_proj.proj.weight")
  );
  if (isFace) {
    throw new TypeError(
      `Cannot load an IP-Adapter: expected one that sees pictures by CLIP, got a FaceID ("${isFace}"), which is not built`,
    );
  }
  const layers = Math.max(1, Math.ceil(countOf(tensors, "ip_adapter.") / 2)); // odd numbers
  const attention_dims = Array.from(
    { length: layers },
    (_, i) => shape(`ip_adapter.${2 * i + 1}.to_k_ip.weight`)[0],
  );
  return { _class_name: "IPAdapter", ...projectionOf(tensors, shape), attention_dims };
}

function projectionOf(
  tensors: Infos,
  shape: (key: string) => readonly number[],
): Record<string, unknown> {
  if (tensors.has("image_proj.proj.weight")) {
    const [out, image_embed_dim] = shape("image_proj.proj.weight");
    const [cross_attention_dim] = shape("image_proj.norm.weight");
    const num_image_text_embeds = Math.floor(out! / cross_attention_dim!);
    return { projection: "ImageProjection", image_embed_dim, cross_attention_dim, num_image_text_embeds };
  }
  if (tensors.has("image_proj.proj.3.weight")) {
    const [cross_attention_dim] = shape("image_proj.proj.3.weight");
    return { projection: "full", image_embed_dim: shape("image_proj.proj.0.weight")[1], cross_attention_dim };
  }
  const [, num_image_text_embeds, hidden_dim] = shape("image_proj.latents");
  return {
    projection: "plus",
    image_embed_dim: shape("image_proj.proj_in.weight")[1],
    cross_attention_dim: shape("image_proj.proj_out.weight")[0],
    num_image_text_embeds,
    hidden_dim,
    depth: countOf(tensors, "image_proj.layers."),
  };
}

/** The tensors under their own names. */
export function ipAdapterView(tensors: Stored): Map<string, StoredTensor> {
  return renamed(tensors, "", (key) => key);
}
