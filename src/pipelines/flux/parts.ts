import {
  type Autoencoder,
  AutoencoderKL,
  CLIPTextModel,
  FluxTransformer2DModel,
  T5EncoderModel,
} from "../../models/mod.ts";
import type { Scheduler } from "../../schedulers/mod.ts";
import { CLIPTokenizer, T5TokenizerFast } from "../../tokenizers/mod.ts";
import type { Residents } from "../memory/acquire.ts";

/** The parts of FLUX; pipelines may share them. */
export interface FluxParts extends Residents {
  /** Between pictures and latents of 16 channels. */
  vae: Autoencoder;
  /** CLIP, of which only the embedding of a whole text is used. */
  textEncoder: CLIPTextModel;
  /** T5, whose states of all tokens the transformer attends to. */
  textEncoder2: T5EncoderModel;
  /** CLIP's. */
  tokenizer: CLIPTokenizer;
  /** T5's. */
  tokenizer2: T5TokenizerFast;
  /** Predicts the velocity from noise to the picture. */
  transformer: FluxTransformer2DModel;
  /** May be exchanged between runs. */
  scheduler: Scheduler;
}

/** The parts that embed prompts. */
export type FluxTextParts =
  & Residents
  & Pick<FluxParts, "textEncoder" | "textEncoder2" | "tokenizer" | "tokenizer2">;

/** The classes of the parts, in the order in which they are opened. */
export const PARTS = {
  tokenizer: [CLIPTokenizer, "CLIPTokenizer", "CLIPTokenizerFast"],
  tokenizer2: [T5TokenizerFast, "T5TokenizerFast", "T5Tokenizer"],
  textEncoder: [CLIPTextModel, "CLIPTextModel"],
  textEncoder2: [T5EncoderModel, "T5EncoderModel"],
  transformer: [FluxTransformer2DModel, "FluxTransformer2DModel"],
  vae: [AutoencoderKL, "AutoencoderKL", "AutoencoderTiny"],
} as const;
