import { type Autoencoder, AutoencoderKL, Qwen3Model, ZImageTransformer2DModel } from "../../models/mod.ts";
import type { Scheduler } from "../../schedulers/mod.ts";
import { Qwen2Tokenizer } from "../../tokenizers/mod.ts";
import type { Residents } from "../memory/acquire.ts";

/** The parts of Z-Image; pipelines may share them. */
export interface ZImageParts extends Residents {
  /** Between pictures and latents of 16 channels; FLUX.1's. */
  vae: Autoencoder;
  /** The states of whose last layer but one the transformer reads. */
  textEncoder: Qwen3Model;
  /** Its tokenizer, with the template of a chat. */
  tokenizer: Qwen2Tokenizer;
  /** Predicts the velocity from noise to the picture. */
  transformer: ZImageTransformer2DModel;
  /** May be exchanged between runs. */
  scheduler: Scheduler;
}

/** The classes of the parts, in the order in which they are opened. */
export const PARTS = {
  tokenizer: [Qwen2Tokenizer, "Qwen2Tokenizer", "Qwen2TokenizerFast"],
  textEncoder: [Qwen3Model, "Qwen3Model", "Qwen3ForCausalLM"],
  transformer: [ZImageTransformer2DModel, "ZImageTransformer2DModel"],
  vae: [AutoencoderKL, "AutoencoderKL", "AutoencoderTiny"],
} as const;
