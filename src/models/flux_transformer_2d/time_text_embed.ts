import { named, type Tensor } from "../../tensor/mod.ts";
import { type TimestepEmbedding, timestepEmbeddingMLP } from "../../nn/time_embedding.ts";

/** Weights of what FLUX is told about time, guidance and the prompt as a whole. */
export interface FluxTimeTextEmbed {
  timestep_embedder: TimestepEmbedding;
  /** Of models that were distilled with guidance (dev). */
  guidance_embedder?: TimestepEmbedding | undefined;
  text_embedder: TimestepEmbedding;
}

/** Features of times and guidance [.., 256] and pooled prompts [.., P], whose leading axes broadcast. */
export type FluxTimeText = {
  time: Tensor;
  guidance?: Tensor;
  pooled: Tensor;
};

/** The sum of what time, guidance and prompt tell. → [.., width] */
export function fluxTimeTextEmbed(
  { time, guidance, pooled }: FluxTimeText,
  w: FluxTimeTextEmbed,
  width: number,
): Tensor {
  const embed = (name: keyof FluxTimeTextEmbed, x: Tensor) =>
    named(name, () => timestepEmbeddingMLP(x, w[name]!, width), [x]);
  let told = embed("timestep_embedder", time);
  if (guidance) told = told.add(embed("guidance_embedder", guidance));
  return told.add(embed("text_embedder", pooled));
}
