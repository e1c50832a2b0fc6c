import { z } from "zod";
import { parseConfig } from "../../io/config.ts";
import { Qwen3Model } from "../../models/mod.ts";
import { Qwen2Tokenizer } from "../../tokenizers/mod.ts";
import { isSingleFile } from "../../io/single_file/options.ts";
import { type PipelineOptions, readIndex } from "../model_index.ts";
import { openParts } from "../open_parts.ts";
import { type Flux2Parts, PARTS } from "./parts.ts";

/** The parts of FLUX.2 klein; pipelines may share them. */
export interface Flux2KleinParts extends Flux2Parts {
  /** Qwen3, of which states in the middle embed the prompts. */
  textEncoder: Qwen3Model;
  /** Qwen3's, with the template of its chats. */
  tokenizer: Qwen2Tokenizer;
  /** The model was distilled to few steps and runs without guidance, as klein was; its base model was not. */
  isDistilled: boolean;
}

const KLEIN_PARTS = {
  tokenizer: [Qwen2Tokenizer, "Qwen2Tokenizer", "Qwen2TokenizerFast"],
  textEncoder: [Qwen3Model, "Qwen3ForCausalLM", "Qwen3Model"],
  ...PARTS,
} as const;

const switches = z.looseObject({ is_distilled: z.boolean().default(false) });

/** Opens the parts of klein. */
export async function openKleinParts(pathOrRepo: string, options: PipelineOptions): Promise<Flux2KleinParts> {
  const index = await readIndex(pathOrRepo, options);
  const { is_distilled: isDistilled } = parseConfig(switches, index.json, "model_index.json");
  const parts = await openParts(pathOrRepo, options, KLEIN_PARTS, index);
  if (isSingleFile(pathOrRepo)) tellKind(pathOrRepo, isDistilled, options);
  return { ...parts, isDistilled };
}

/** Says for what a file is taken, as its tensors do not tell. */
function tellKind(path: string, isDistilled: boolean, { onNotice = console.warn }: PipelineOptions): void {
  const kind = isDistilled
    ? "klein, which runs without guidance"
    : "klein's base model, which takes guidance";
  onNotice(`${path} is taken for ${kind}: there is ${isDistilled ? "no" : "a"} "base" in its name`);
}
