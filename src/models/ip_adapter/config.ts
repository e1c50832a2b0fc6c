import { z } from "zod";
import { type ConfigSchema, positive } from "../../io/config.ts";

/** An IPAdapter's config, which follows from the shapes in its file. */
export interface IPAdapterConfig {
  /** The class that the file is for. */
  _class_name?: "IPAdapter" | undefined;
  /**
   * Way from a picture to tokens: a dense layer on its embedding ("ImageProjection"), a perceiver on its states ("plus"),
   * or dense layers on these ("full").
   */
  projection: "ImageProjection" | "plus" | "full";
  /** Width of what it reads: the vision model's embedding, or its states. */
  image_embed_dim: number;
  /** Width of tokens, as of the prompt's. */
  cross_attention_dim: number;
  /** Tokens of a picture; of "full" as many as the vision model has states. */
  num_image_text_embeds: number;
  /** Width within the perceiver of "plus". */
  hidden_dim: number;
  /** Blocks of the perceiver of "plus". */
  depth: number;
  /** Channels of each of the UNet's layers of attention to the prompt, in the order of the file. */
  attention_dims: number[];
}

/** Checks an IPAdapter's config. */
export const ipAdapterConfig: ConfigSchema<IPAdapterConfig> = z.looseObject({
  _class_name: z.literal("IPAdapter").optional(),
  projection: z.enum(["ImageProjection", "plus", "full"]),
  image_embed_dim: positive,
  cross_attention_dim: positive,
  num_image_text_embeds: positive.default(1),
  hidden_dim: positive.default(1),
  depth: z.int().nonnegative().default(0),
  attention_dims: z.array(positive).min(1),
});
