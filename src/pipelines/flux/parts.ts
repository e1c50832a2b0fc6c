import { AutoencoderKL, CLIPTextModel, FluxTransformer2DModel, T5EncoderModel } from "../../models/mod.ts";
import type { Scheduler } from "../../schedulers/mod.ts";
import { CLIPTokenizer, T5TokenizerFast } from "../../tokenizers/mod.ts";
import { openPart, openPipeline, tellPlan } from "../open_parts.ts";
import type { PipelineOptions } from "../run.ts";
import type { Residents } from "../memory/residency.ts";

/** What FLUX is made of; pipelines may share parts. */
export interface FluxParts extends Residents {
  /** Between pictures and latents of 16 channels. */
  vae: AutoencoderKL;
  /** CLIP, of which only the state of a whole text is taken. */
  textEncoder: CLIPTextModel;
  /** T5, which tells the transformer every token. */
  textEncoder2: T5EncoderModel;
  /** Of textEncoder. */
  tokenizer: CLIPTokenizer;
  /** Of textEncoder2. */
  tokenizer2: T5TokenizerFast;
  /** Predicts the velocity from noise to the picture. */
  transformer: FluxTransformer2DModel;
  /** May be exchanged between runs. */
  scheduler: Scheduler;
}

/** Opens the parts of a FLUX repository; their weights come when they are needed. */
export async function loadPartsFlux(pathOrRepo: string, options: PipelineOptions): Promise<FluxParts> {
  const { memory, from, scheduler } = await openPipeline(pathOrRepo, options, {
    vae: ["AutoencoderKL"],
    transformer: ["FluxTransformer2DModel"],
    text_encoder: ["CLIPTextModel"],
    text_encoder_2: ["T5EncoderModel"],
    tokenizer: ["CLIPTokenizer", "CLIPTokenizerFast"],
    tokenizer_2: ["T5TokenizerFast", "T5Tokenizer"],
  });
  const parts = {
    scheduler,
    tokenizer: await CLIPTokenizer.fromPretrained(pathOrRepo, from("tokenizer")),
    tokenizer2: await T5TokenizerFast.fromPretrained(pathOrRepo, from("tokenizer_2")),
    textEncoder: await openPart(CLIPTextModel, pathOrRepo, from("text_encoder")),
    textEncoder2: await openPart(T5EncoderModel, pathOrRepo, from("text_encoder_2")),
    transformer: await openPart(FluxTransformer2DModel, pathOrRepo, from("transformer")),
    vae: await openPart(AutoencoderKL, pathOrRepo, from("vae")),
    memory,
  };
  tellPlan(parts, pathOrRepo, options);
  return parts;
}
