import type { Shape } from "../../core/shape.ts";
import { attend } from "../../nn/attention.ts";
import { dense, expectShape, type Layer, layerNorm, project, type Projection } from "../../nn/layers.ts";
import { gelu } from "../../ops/mod.ts";
import { cat, named, type Tensor } from "../../tensor/mod.ts";
import type { IPAdapterConfig } from "./config.ts";

/** Weights of a block of a perceiver (Jaegle et al. 2021, https://arxiv.org/abs/2103.03206). */
interface PerceiverBlock {
  0: { norm1: Layer; norm2: Layer; to_q: Projection; to_kv: Projection; to_out: Projection };
  1: { 0: Layer; 1: Projection; 3: Projection }; // a norm, a dense layer, GELU, a dense layer
}

/** Weights that make tokens of a picture, of the kind that the config names. */
export interface ImageProjectionWeights {
  proj: Layer & { 0: Layer; 2: Layer; 3: Layer };
  norm: Layer;
  latents: Tensor;
  proj_in: Layer;
  proj_out: Layer;
  norm_out: Layer;
  layers: readonly PerceiverBlock[];
}

const EPS = 1e-5; // of all norms
const HEAD = 64; // channels of a head

/** A picture's tokens. x [B, K], its embedding, or [B, N, K], its states → [B, tokens, cross_attention_dim] */
export function projectImage(x: Tensor, w: ImageProjectionWeights, config: IPAdapterConfig): Tensor {
  const { cross_attention_dim: D, num_image_text_embeds: n } = config;
  switch (config.projection) {
    case "ImageProjection":
      return layerNorm(dense(x, w.proj, n * D).reshape([x.shape[0]!, n, D]), w.norm, EPS);
    case "full":
      return layerNorm(dense(gelu(dense(x, w.proj[0], x.shape[2]!)), w.proj[2], D), w.proj[3], EPS);
    case "plus":
      return perceiver(x, w, config);
  }
}

/** Learned latents look at a picture's states, block by block. x [B, N, K] → [B, latents, D] */
function perceiver(x: Tensor, w: ImageProjectionWeights, config: IPAdapterConfig): Tensor {
  const { hidden_dim: H, num_image_text_embeds: n, cross_attention_dim: D } = config;
  const B = x.shape[0]!;
  expectShape(w.latents, [1, n, H]);
  const seen = dense(x, w.proj_in, H);
  let latents = w.latents.cast(seen.dtype).expand([B, n, H]);
  for (let i = 0; i < config.depth; i++) {
    latents = named(`layers.${i}`, () => perceiverBlock(latents, seen, w.layers[i]!), [latents, seen]);
  }
  return layerNorm(dense(latents, w.proj_out, D), w.norm_out, EPS);
}

function perceiverBlock(latents: Tensor, x: Tensor, w: PerceiverBlock): Tensor {
  const [B, n, H] = latents.shape as Shape<3>;
  const { norm1, norm2, to_q, to_kv, to_out } = w[0];
  const own = layerNorm(latents, norm2, EPS);
  const all = cat([layerNorm(x, norm1, EPS), own], 1);
  const inner = to_q.weight.shape[0]!;
  const heads = (t: Tensor) => t.reshape([B, -1, inner / HEAD, HEAD]).permute([0, 2, 1, 3]);
  const [k, v] = project(all, to_kv, 2 * inner).chunk(2, 2);
  const mixed = attend(heads(project(own, to_q, inner)), heads(k), heads(v), {});
  const joined = mixed.permute([0, 2, 1, 3]).reshape([B, n, inner]);
  latents = project(joined, to_out, H).add(latents);
  const { 0: norm, 1: first, 3: second } = w[1];
  const hidden = gelu(project(layerNorm(latents, norm, EPS), first, first.weight.shape[0]!));
  return project(hidden, second, H).add(latents);
}
