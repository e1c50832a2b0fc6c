import { dense, expectShape, type Layer, type Projection } from "../../nn/layers.ts";
import { silu } from "../../ops/mod.ts";
import { cat, named, type Tensor, where } from "../../tensor/mod.ts";
import { normed } from "./blocks.ts";
import { patchKey, type PatchSize, timeWidth, type ZImageTransformer2DConfig } from "./config.ts";
import { patchify } from "./patches.ts";

/** Weights in front of the blocks. */
export interface ZImageEmbedders {
  /** By the size of tokens, e.g. "2-1". */
  all_x_embedder: Record<string, Layer>;
  t_embedder: { mlp: { 0: Layer; 2: Layer } };
  cap_embedder: { 0: Projection; 1: Layer };
  /** [1, D] */
  x_pad_token: Tensor;
  /** [1, D] */
  cap_pad_token: Tensor;
}

const TIME_HIDDEN = 1024; // width between the layers of time

/** The embedding of time of its features [B, 256]. → [B, T] f32 */
export function timeEmbedding(time: Tensor, w: ZImageEmbedders, config: ZImageTransformer2DConfig): Tensor {
  const { mlp } = w.t_embedder;
  return named("t_embedder", () => {
    const hidden = silu(named("mlp.0", () => dense(time, mlp[0], TIME_HIDDEN), [time]));
    return named("mlp.2", () => dense(hidden, mlp[2], timeWidth(config)), [hidden]);
  }, [time]);
}

/** Tokens of latents, filled up to L by learned ones. x [B, C, F, H, W] or [B, C, H, W] → [B, L, D] f32 */
export function imageTokens(
  x: Tensor,
  patch: PatchSize,
  L: number,
  w: ZImageEmbedders,
  { dim: D }: ZImageTransformer2DConfig,
): Tensor {
  const key = patchKey(patch);
  const embedder = w.all_x_embedder[key]!;
  const patches = patchify(x, patch).cast(embedder.bias.dtype);
  const tokens = named(`all_x_embedder.${key}`, () => dense(patches, embedder, D).cast("f32"), [patches]);
  expectShape(w.x_pad_token, [1, D]);
  const [B, count] = tokens.shape as [number, number];
  return count === L ? tokens : cat([tokens, w.x_pad_token.cast("f32").expand([B, L - count, D])], 1);
}

/** Tokens of captions [B, given, cap_feat_dim], learned ones where `pads` [B, N, 1] holds. → [B, N, D] f32 */
export function captionTokens(
  capFeats: Tensor,
  pads: Tensor,
  w: ZImageEmbedders,
  { cap_feat_dim, dim: D, norm_eps }: ZImageTransformer2DConfig,
): Tensor {
  const { 0: norm, 1: layer } = w.cap_embedder;
  const tokens = named("cap_embedder", () => {
    expectShape(norm.weight, [cap_feat_dim]);
    const feats = named("0", () => normed(capFeats, norm, norm_eps), [capFeats]).cast(layer.bias.dtype);
    return named("1", () => dense(feats, layer, D).cast("f32"), [feats]);
  }, [capFeats]);
  expectShape(w.cap_pad_token, [1, D]);
  const [given, N] = [tokens.shape[1]!, pads.shape[1]!];
  return where(pads, w.cap_pad_token.cast("f32"), given === N ? tokens : tokens.pad([0, 0, 0, N - given]));
}
