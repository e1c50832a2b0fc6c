import { existsSync } from "node:fs";
import { isPipelineFile, pipelines } from "./flux_pipelines.ts";
import { T5_CASES, t5Encoder, t5Tokenizer } from "./flux_text.ts";
import { fluxTransformer } from "./flux_transformer.ts";
import { isLoraFile, lorasOfFlux } from "./lora.ts";
import { notBuilt } from "./not_built.ts";
import { text } from "./sd_text.ts";
import { vae } from "./sd_vae.ts";
import type { Verdict } from "./verdict.ts";

type Verdicts = AsyncGenerator<Verdict, void, void>;

/** The parts of FLUX, by the file of expected values that each begins with. */
const PARTS: Readonly<Record<string, (folder: string, model: string) => Verdicts>> = {
  "text_encoder.safetensors": text,
  "text_encoder_2.safetensors": t5Encoder,
  "vae.safetensors": vae,
  "transformer.safetensors": fluxTransformer,
};

/** The parts of FLUX, its pipelines and its LoRAs. */
export async function* flux(folder: string): Verdicts {
  if (existsSync(`${folder}/${T5_CASES}`)) yield* t5Tokenizer(folder, "flux");
  for (const [file, part] of Object.entries(PARTS)) {
    if (existsSync(`${folder}/expected/${file}`)) yield* part(folder, "flux");
  }
  yield* lorasOfFlux(folder, "flux");
  yield* pipelines(folder, "flux");
  const judged = (file: string) =>
    file in PARTS || file === T5_CASES || isPipelineFile(file) || isLoraFile(file);
  yield* notBuilt(folder, judged);
}
