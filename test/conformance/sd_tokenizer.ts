import { CLIPTokenizer } from "../../src/tokenizers/mod.ts";
import { readJson } from "./json.ts";
import { compare, EXACT, type Verdict, worst } from "./verdict.ts";

/** A prompt as transformers reads it. */
interface Case {
  prompt: string;
  /** Without what fills the row up. */
  ids_77: number[];
  /** All ids, where they are more than 77. */
  untruncated: number[] | null;
  n_tokens: number;
}

/** Prompts against transformers: `tokenizer_cases.json`, for the tokenizer of the first model. */
export async function* tokenizer(folder: string): AsyncGenerator<Verdict, void, void> {
  const { cases } = await readJson<{ cases: Case[] }>(`${folder}/tokenizer_cases.json`);
  const clip = await CLIPTokenizer.fromPretrained(`${folder}/sd1/pipeline`);
  for (const [i, { prompt, ids_77, untruncated, n_tokens }] of cases.entries()) {
    const filled = [...ids_77, ...new Array<number>(77 - ids_77.length).fill(clip.padTokenId)];
    const whole = clip.encode(prompt, { truncation: false, padding: false });
    yield worst(`tokenizer/${i} ${JSON.stringify(prompt.slice(0, 40))}`, [
      compare("ids", clip.encode(prompt).inputIds[0]!, filled, EXACT),
      compare("all ids", whole.inputIds[0]!, untruncated ?? filled.slice(0, n_tokens), EXACT),
    ]);
  }
}
