import { existsSync } from "node:fs";
import { isLoraFile, lorasOfZImage } from "./lora.ts";
import { notBuilt } from "./not_built.ts";
import { QWEN2_CASES, qwen2Tokenizer, qwen3Encoder } from "./qwen3_text.ts";
import { vae } from "./sd_vae.ts";
import type { Verdict } from "./verdict.ts";
import { isZImageRun, zImagePipelines, zImageSchedule } from "./zimage_pipelines.ts";
import { zImageTransformer } from "./zimage_transformer.ts";

type Verdicts = AsyncGenerator<Verdict, void, void>;

/** The parts of Z-Image, by the file of expected values that each begins with. */
const PARTS: Readonly<Record<string, (folder: string, model: string) => Verdicts>> = {
  "text_encoder.safetensors": qwen3Encoder,
  "vae.safetensors": vae,
  "transformer.safetensors": zImageTransformer,
  "schedule.safetensors": zImageSchedule,
};

/** The parts of Z-Image, its LoRAs and its pipelines. */
export async function* zimage(folder: string): Verdicts {
  if (existsSync(`${folder}/${QWEN2_CASES}`)) yield* qwen2Tokenizer(folder, "zimage");
  for (const [file, part] of Object.entries(PARTS)) {
    if (existsSync(`${folder}/expected/${file}`)) yield* part(folder, "zimage");
  }
  yield* lorasOfZImage(folder, "zimage");
  yield* zImagePipelines(folder, "zimage");
  const judged = (file: string) =>
    file in PARTS || file === QWEN2_CASES || isLoraFile(file) || isZImageRun(file);
  yield* notBuilt(folder, judged);
}
