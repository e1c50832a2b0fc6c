import { existsSync } from "node:fs";
import {
  flux2Pipelines,
  flux2References,
  flux2Schedule,
  isRunFile,
  largeReference,
} from "./flux2_pipelines.ts";
import { flux2Transformer, isTapFile } from "./flux2_transformer.ts";
import { flux2Vae, smallDecoder } from "./flux2_vae.ts";
import { isLoraFile, lorasOfFlux2 } from "./lora.ts";
import { notBuilt } from "./not_built.ts";
import { QWEN2_CASES, qwen2Tokenizer, qwen3Encoder } from "./qwen3_text.ts";
import type { Verdict } from "./verdict.ts";

type Verdicts = AsyncGenerator<Verdict, void, void>;

/** The parts of FLUX.2, by the file of expected values that each begins with. */
const PARTS: Readonly<Record<string, (folder: string, model: string) => Verdicts>> = {
  "text_encoder.safetensors": qwen3Encoder,
  "transformer.safetensors": flux2Transformer,
  "vae.safetensors": flux2Vae,
  "vae_small_decoder.safetensors": smallDecoder,
  "schedule.safetensors": flux2Schedule,
  "edit_reference_tokens.safetensors": flux2References,
  "ref_large.safetensors": largeReference,
};

/** The parts of FLUX.2. */
export async function* flux2(folder: string): Verdicts {
  if (existsSync(`${folder}/${QWEN2_CASES}`)) yield* qwen2Tokenizer(folder, "flux2");
  for (const [file, part] of Object.entries(PARTS)) {
    if (existsSync(`${folder}/expected/${file}`)) yield* part(folder, "flux2");
  }
  yield* lorasOfFlux2(folder, "flux2");
  yield* flux2Pipelines(folder, "flux2");
  const isBuilt = (file: string) =>
    file in PARTS || file === QWEN2_CASES || isTapFile(file) || isLoraFile(file) || isRunFile(file);
  yield* notBuilt(folder, isBuilt);
}
