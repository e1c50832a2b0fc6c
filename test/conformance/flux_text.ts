import { existsSync } from "node:fs";
import { T5TokenizerFast } from "../../src/tokenizers/mod.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { T5EncoderModel } from "../../src/models/mod.ts";
import { readJson } from "./json.ts";
import { loading } from "./precision.ts";
import { attempt, compare, compareTensor, EXACT, type Verdict } from "./verdict.ts";

type Verdicts = AsyncGenerator<Verdict, void, void>;

/**
 * One run of a network in f32 on a GPU. T5 does not scale its scores: the terms of q · k have a root of summed squares of up to
 * 3.2 (measured), by which the softmax multiplies relative errors of q and k. Of the 21 roundings of a block's 7 dispatches
 * 3 are those of q; with those of k, beside it, 6 are multiplied so.
 */
const MODULE = { rel: 1e-4, gain: Math.sqrt((18 + 6 * 3.2 ** 2) / 21) };

/** A prompt as transformers reads it, and as sentencepiece does where that differs. */
interface Case {
  prompt: string;
  ids: number[];
}

/** The file of the tokenizer's cases. */
export const T5_CASES = "t5_tokenizer_cases.json";

/** T5's encoder: of the prompts and of one long row, and what it adds to the scores of three queries. */
export async function* t5Encoder(folder: string, model: string): Verdicts {
  const id = `${model}/text_encoder_2`;
  const tensors = await readTensors(`${folder}/expected/text_encoder_2.safetensors`);
  const [ids, longIds] = [tensors.get("input_ids")!, tensors.get("long_input_ids")];
  yield* prompts(folder, id, ids);

  using encoder = await T5EncoderModel.fromPretrained(`${folder}/pipeline/text_encoder_2`, loading());
  const { lastHiddenState, hiddenStates } = encoder.forward(rows(ids), { outputHiddenStates: true });
  const got = new Map([
    ["last_hidden_state", lastHiddenState],
    ...hiddenStates!.map((state, i) => [`hidden_states.${i}`, state] as const),
  ]);
  if (longIds) got.set("long_last_hidden_state", encoder.forward(rows(longIds)).lastHiddenState);
  for (const [name, { shape: [, , queries, N] }] of tensors) {
    if (!name.startsWith("relative_position_bias")) continue;
    const row = new Array<number>(N!).fill(0); // the bias depends on its length only
    const { taps } = encoder.forward([row], { taps: ["relative_attention_bias"] });
    got.set(name, taps.relative_attention_bias.slice(2, 0, queries));
  }
  for (const [name, want] of tensors) {
    if (name === "input_ids" || name === "long_input_ids") continue;
    const result = got.get(name);
    if (result) {
      yield await attempt(`${id}/${name}`, () => compareTensor(`${id}/${name}`, result, want, MODULE));
    } else {
      yield { id: `${id}/${name}`, status: "failed", note: "no result of this name" };
    }
  }
}

/** The ids of the prompts, where the set says which those are. */
async function* prompts(folder: string, id: string, want: HostTensor): Verdicts {
  const { prompts } = await readJson<{ prompts?: string[] }>(`${folder}/expected/meta.json`);
  if (!prompts) return;
  yield await attempt(`${id}/input_ids`, async () => {
    const tokenizer = await T5TokenizerFast.fromPretrained(`${folder}/pipeline`);
    const { inputIds } = tokenizer.encode(prompts, { maxLength: want.shape[1] });
    return compare(`${id}/input_ids`, inputIds.flat(), want.data, EXACT);
  });
}

/** Prompts against transformers, by the whole tokenizer and by its spiece.model alone. */
export async function* t5Tokenizer(folder: string, model: string): Verdicts {
  const { cases } = await readJson<{ cases: Case[] }>(`${folder}/${T5_CASES}`);
  const whole = `${folder}/pipeline/tokenizer_2`;
  yield* tokenize(`${model}/t5_tokenizer`, whole, cases);
  if (!existsSync(`${whole}/spiece.model`)) return;
  const alone = await Deno.makeTempDir();
  try {
    for (const name of ["spiece.model", "tokenizer_config.json"]) {
      await Deno.copyFile(`${whole}/${name}`, `${alone}/${name}`);
    }
    yield* tokenize(`${model}/t5_tokenizer from spiece.model`, alone, cases);
  } finally {
    await Deno.remove(alone, { recursive: true });
  }
}

async function* tokenize(id: string, folder: string, cases: readonly Case[]): Verdicts {
  const tokenizer = await T5TokenizerFast.fromPretrained(folder);
  for (const [i, { prompt, ids }] of cases.entries()) {
    const name = `${id}/${i} ${JSON.stringify(prompt.slice(0, 40))}`;
    const got = tokenizer.encode(prompt, { truncation: false, padding: false }).inputIds[0]!;
    yield compare(name, got, ids, EXACT);
  }
}

function rows({ data, shape: [B, N] }: HostTensor): number[][] {
  return Array.from({ length: B! }, (_, b) => [...data.subarray(b * N!, (b + 1) * N!)]);
}
