import { cat } from "../../src/mod.ts";
import { Qwen3Model } from "../../src/models/mod.ts";
import { qwen3Rope } from "../../src/models/qwen3/rope.ts";
import { Qwen2Tokenizer } from "../../src/tokenizers/mod.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { readJson } from "./json.ts";
import { loading } from "./precision.ts";
import { attempt, compare, compareTensor, EXACT, type Verdict } from "./verdict.ts";

type Verdicts = AsyncGenerator<Verdict, void, void>;

/**
 * One run of a network in f32 on a GPU. In f16 the softmax multiplies relative errors of q and k by the root of the summed
 * squares of the terms of q · k / √D, which is up to 3.2 (measured on two sets). Of the 27 roundings of the 9 dispatches that
 * stand one behind the other in a layer 6 are those of q, by its projection and its norm; with those of k, beside it, 12 are
 * multiplied so.
 */
const MODULE = { rel: 1e-4, gain: Math.sqrt((21 + 12 * 3.2 ** 2) / 27) };

/** How a set's prompts become texts: what meta.json says of the text encoder. */
interface Texts {
  prompts: string[];
  max_sequence_length: number;
  enable_thinking: boolean;
  prompt_embeds_custom_layers?: { text_encoder_out_layers: number[]; prompt: string };
}

/** Hidden states that FLUX.2 klein takes side by side. */
const KLEIN = [9, 18, 27];

/** The file of the tokenizer's cases. */
export const QWEN2_CASES = "tokenizer_cases.json";

/** Qwen3 as a text encoder: ids and masks of prompts, hidden states, what pipelines make of them, and its parts. */
export async function* qwen3Encoder(folder: string, model: string): Verdicts {
  const id = `${model}/text_encoder`;
  const { text_encoder: texts } = await readJson<{ text_encoder: Texts }>(`${folder}/expected/meta.json`);
  const tensors = await readTensors(`${folder}/expected/text_encoder.safetensors`);
  const tokenizer = await Qwen2Tokenizer.fromPretrained(`${folder}/pipeline`);
  const encode = (prompts: readonly string[]) =>
    tokenizer.encode(prompts.map((prompt) => templated(tokenizer, prompt, texts.enable_thinking)), {
      maxLength: texts.max_sequence_length,
      padding: "max_length",
    });
  const { inputIds, attentionMask } = encode(texts.prompts);
  const exact = { input_ids: inputIds, attention_mask: attentionMask };
  for (const [name, rows] of Object.entries(exact)) {
    yield compare(`${id}/${name}`, rows.flat(), tensors.get(name)!.data, EXACT);
  }

  using encoder = await Qwen3Model.fromPretrained(`${folder}/pipeline/text_encoder`, loading());
  const states = [...tensors].flatMap(([name, want]) => {
    const number = /^hidden_states\.(\d+)$/.exec(name)?.[1];
    return number ? [{ name, want, number: Number(number) }] : [];
  });
  const { hiddenStates } = encoder.forward(inputIds, {
    attentionMask,
    hiddenStates: states.map(({ number }) => number),
  });
  for (const [i, { name, want }] of states.entries()) {
    yield await attempt(
      `${id}/${name}`,
      () => compareTensor(`${id}/${name}`, hiddenStates[i]!, want, MODULE),
    );
  }
  yield* embeddings(id, encoder, tensors, texts, encode);
  yield* parts(id, encoder, tensors, inputIds, attentionMask);
}

/** What FLUX.2 (states side by side) and Z-Image (rows that count) hand to their transformers. */
async function* embeddings(
  id: string,
  encoder: Qwen3Model,
  tensors: ReadonlyMap<string, HostTensor>,
  texts: Texts,
  encode: (prompts: readonly string[]) => ReturnType<Qwen2Tokenizer["encode"]>,
): Verdicts {
  const { prompt_embeds_custom_layers: custom } = texts;
  const side = [
    ["prompt_embeds", texts.prompts, KLEIN] as const,
    ["prompt_embeds_custom_layers", [custom?.prompt ?? ""], custom?.text_encoder_out_layers ?? []] as const,
  ];
  for (const [name, prompts, layers] of side) {
    const want = tensors.get(name);
    if (!want) continue;
    const { inputIds, attentionMask } = encode(prompts);
    const joined = () =>
      cat(encoder.forward(inputIds, { attentionMask, hiddenStates: layers }).hiddenStates, 2);
    yield await attempt(`${id}/${name}`, () => compareTensor(`${id}/${name}`, joined(), want, MODULE));
  }
  for (const [i, prompt] of texts.prompts.entries()) {
    const want = tensors.get(`prompt_embeds.${i}`);
    if (!want) continue;
    const { inputIds, attentionMask } = encode([prompt]);
    const [state] = encoder.forward(inputIds, { attentionMask, hiddenStates: [-2] }).hiddenStates;
    const counted = attentionMask[0]!.indexOf(0);
    const rows = state!.squeeze(0).slice(0, 0, counted < 0 ? inputIds[0]!.length : counted);
    yield await attempt(
      `${id}/prompt_embeds.${i}`,
      () => compareTensor(`${id}/prompt_embeds.${i}`, rows, want, MODULE),
    );
  }
}

/** Results of parts by their module paths, and the tables of positions. */
async function* parts(
  id: string,
  encoder: Qwen3Model,
  tensors: ReadonlyMap<string, HostTensor>,
  inputIds: number[][],
  attentionMask: number[][],
): Verdicts {
  const wanted = [...tensors].filter(([name]) => name.startsWith("tap."));
  const paths = wanted.map(([name]) => name.slice("tap.".length).replace(/self_attn\.0$/, "self_attn"));
  const { cos, sin } = qwen3Rope(inputIds[0]!.length, encoder.config);
  const tables: Record<string, Float32Array> = { "rotary_emb.0": cos, "rotary_emb.1": sin };
  const { taps } = encoder.forward(inputIds, {
    attentionMask,
    taps: paths.filter((path) => !(path in tables)),
  });
  for (const [i, [name, want]] of wanted.entries()) {
    const table = tables[paths[i]!];
    const pairs = encoder.config.head_dim / 2; // torch has each row twice, for either half of a head
    yield table
      ? compare(
        `${id}/${name}`,
        want.data.map((_, at) => {
          const [row, pair] = [Math.floor(at / (2 * pairs)), at % pairs];
          return table[row * pairs + pair]!;
        }),
        want.data,
        { rel: 1e-6 },
      )
      : await attempt(`${id}/${name}`, () => compareTensor(`${id}/${name}`, taps[paths[i]!]!, want, MODULE));
  }
}

/** Prompts against transformers. */
export async function* qwen2Tokenizer(folder: string, model: string): Verdicts {
  const { cases, max_length, example } = await readJson<{
    cases: { prompt: string; ids: number[] }[];
    max_length: number;
    example: string;
  }>(`${folder}/${QWEN2_CASES}`);
  const tokenizer = await Qwen2Tokenizer.fromPretrained(`${folder}/pipeline`);
  const thinks = !example.includes("<think>");
  for (const [i, { prompt, ids }] of cases.entries()) {
    const name = `${model}/tokenizer/${i} ${JSON.stringify(prompt.slice(0, 40))}`;
    const text = templated(tokenizer, prompt, thinks);
    yield compare(name, tokenizer.encode(text, { maxLength: max_length }).inputIds[0]!, ids, EXACT);
  }
}

/** A prompt as the pipelines put it to the model. */
function templated(tokenizer: Qwen2Tokenizer, prompt: string, enableThinking: boolean): string {
  return tokenizer.applyChatTemplate([{ role: "user", content: prompt }], {
    addGenerationPrompt: true,
    enableThinking,
  });
}
