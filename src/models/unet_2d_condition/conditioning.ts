import type { DType } from "../../core/dtype.ts";
import { activation } from "../../nn/activations.ts";
import { dense, embedding, type Layer, project, type Projection } from "../../nn/layers.ts";
import { type TimestepEmbedding, timestepEmbeddingMLP } from "../../nn/time_embedding.ts";
import { cat, named, type Tensor } from "../../tensor/mod.ts";
import { type EncoderConfig, timeWidth } from "./config.ts";
import type { UNet2DConditionInputs } from "./inputs.ts";

/** Weights of the embedding of time, class and sizes. */
export interface ConditioningWeights {
  time_embedding: TimestepEmbedding & { cond_proj?: Projection };
  class_embedding?: { weight: Tensor } | TimestepEmbedding | Layer;
  add_embedding?: TimestepEmbedding | undefined;
}

/** The embedding of time, class and the picture's sizes that all residual blocks read. → [B, T] */
export function conditioning(
  { time, timestepCond, classes, textEmbeds, timeIds }: UNet2DConditionInputs,
  w: ConditioningWeights,
  dtype: DType,
  config: EncoderConfig,
): Tensor {
  const width = timeWidth(config);
  const act = activation(config.act_fn);

  let features = named("time_proj", () => time.cast(dtype));
  if (timestepCond) {
    const condition = timestepCond.cast(dtype);
    features = features.add(project(condition, w.time_embedding.cond_proj!, features.shape[1]!));
  }
  let temb = named("time_embedding", () => timestepEmbeddingMLP(features, w.time_embedding, width, act), [
    features,
  ]);
  if (classes) {
    temb = temb.add(named("class_embedding", () => classVectors(classes, w, dtype, config), [classes]));
  }
  if (textEmbeds && timeIds) {
    const added = cat([textEmbeds.cast(dtype), timeIds.cast(dtype)], 1);
    const embed = () => timestepEmbeddingMLP(added, w.add_embedding!, width);
    temb = temb.add(named("add_embedding", embed, [added]));
  }
  return temb;
}

/** The class's own embedding. → [B, T] */
function classVectors(
  classes: Tensor,
  w: ConditioningWeights,
  dtype: DType,
  config: EncoderConfig,
): Tensor {
  const width = timeWidth(config);
  if (config.class_embed_type === null) {
    const table = w.class_embedding as { weight: Tensor };
    return embedding(classes, table, config.num_class_embeds!, width).cast(dtype);
  }
  const x = classes.cast(dtype);
  if (config.class_embed_type === "identity") return x; // without weights
  if (config.class_embed_type === "simple_projection") return dense(x, w.class_embedding as Layer, width);
  const act = config.class_embed_type === "timestep" ? activation(config.act_fn) : undefined;
  return timestepEmbeddingMLP(x, w.class_embedding as TimestepEmbedding, width, act);
}
