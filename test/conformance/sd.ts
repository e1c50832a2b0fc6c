import { existsSync } from "node:fs";
import { isLoraFile, lorasOfSD } from "./lora.ts";
import { notBuilt } from "./not_built.ts";
import { isPipelineFile, pipelines } from "./sd_pipelines.ts";
import { text, text2 } from "./sd_text.ts";
import { tokenizer } from "./sd_tokenizer.ts";
import { unet, unetParts } from "./sd_unet.ts";
import { vae } from "./sd_vae.ts";
import { pipelinesXL } from "./sdxl_pipelines.ts";
import type { Verdict } from "./verdict.ts";

type Verdicts = AsyncGenerator<Verdict, void, void>;

/** The parts of a model, by the file of expected values that each begins with. */
const PARTS: Readonly<Record<string, (folder: string, model: string) => Verdicts>> = {
  "unet.safetensors": unet,
  "unet_intermediates.safetensors": unetParts,
  "vae.safetensors": vae,
  "text_encoder.safetensors": text,
  "text_encoder_2.safetensors": text2,
};

const CASES = "tokenizer_cases.json";

/** The parts of every Stable Diffusion in a set. */
export async function* sd(folder: string): Verdicts {
  if (existsSync(`${folder}/${CASES}`)) yield* tokenizer(folder);
  const models = [...Deno.readDirSync(folder)].filter(({ isDirectory }) => isDirectory);
  for (const { name } of models.sort((a, b) => a.name < b.name ? -1 : 1)) {
    yield* parts(`${folder}/${name}`, name);
    yield* lorasOfSD(`${folder}/${name}`, name);
    yield* pipelines(`${folder}/${name}`, name);
    yield* pipelinesXL(`${folder}/${name}`, name);
  }
  yield* notBuilt(
    folder,
    (file) => file in PARTS || file === CASES || isPipelineFile(file) || isLoraFile(file),
  );
}

async function* parts(folder: string, model: string): Verdicts {
  for (const [file, part] of Object.entries(PARTS)) {
    if (existsSync(`${folder}/expected/${file}`)) yield* part(folder, model);
  }
}
