import { expectOptions } from "../../core/error.ts";
import type { CLIPTextModel, CLIPTextOutput } from "../../models/mod.ts";
import { cat, scope, type Tensor } from "../../tensor/mod.ts";
import type { CLIPTokenizer } from "../../tokenizers/mod.ts";
import { expectTexts, type TextEmbeddings } from "../prompts.ts";
import { parseA1111 } from "./a1111.ts";
import { parseCompel } from "./compel.ts";
import { planA1111 } from "./a1111_states.ts";
import { planCompel } from "./compel_states.ts";
import { pick, type Planner, type RowEncoder, Rows } from "./rows.ts";

/** Syntaxes of prompts in which words have weights: that of AUTOMATIC1111's web interface, and that of compel. */
export type PromptSyntax = "a1111" | "compel";

/** A reader and a planner for each syntax. */
const SYNTAXES: Readonly<Record<PromptSyntax, { read: (prompt: string) => unknown; plan: Planner }>> = {
  a1111: { read: parseA1111, plan: planA1111 },
  compel: { read: parseCompel, plan: planCompel },
};

/** An encoder and the prompts that it is to embed. */
export interface Weighing extends RowEncoder {
  readonly texts: readonly string[];
}

/**
 * Embeds prompts with weights, each by all encoders, whose states stand side by side; prompts of fewer chunks than others
 * are filled up. The last encoder's pooled embeddings count. states [B, chunks · L, D], pooled [B, P]
 */
export function embedWeighted(encoders: readonly Weighing[], syntax: PromptSyntax): TextEmbeddings {
  const { plan } = syntaxNamed(syntax);
  using made = scope();
  const planned = encoders.map(({ texts, tokenizer }) => {
    const rows = new Rows();
    return { rows, prompts: texts.map((text) => plan(text, tokenizer, rows)) };
  });
  const chunks = Math.max(...planned.flatMap(({ prompts }) => prompts.map((prompt) => prompt.chunks)));
  const embedded = planned.map(({ rows, prompts }, i) => {
    const { states, pooled } = rows.read(encoders[i]!);
    const [, L, D] = states.shape as [number, number, number];
    return {
      states: cat(prompts.map((prompt) => prompt.states(states, chunks).reshape([1, chunks * L, D]))),
      pooled: pooled && pick(pooled, prompts.map((prompt) => prompt.pooled)),
    };
  });
  const { pooled } = embedded.at(-1)!;
  return {
    states: made.keep(cat(embedded.map(({ states }) => states), 2)),
    pooled: pooled && made.keep(pooled),
  };
}

/** Throws where a prompt cannot be read in a syntax. */
export function expectReadable(prompt: string, syntax: PromptSyntax): void {
  syntaxNamed(syntax).read(prompt);
}

function syntaxNamed(name: PromptSyntax): (typeof SYNTAXES)[PromptSyntax] {
  if (Object.hasOwn(SYNTAXES, name)) return SYNTAXES[name];
  const names = Object.keys(SYNTAXES).map((name) => JSON.stringify(name)).join(" or ");
  throw new TypeError(`Cannot read prompts in the syntax ${JSON.stringify(name)}: expected ${names}`);
}

/** Options of `weightedPrompt`. */
export interface WeightedPromptOptions {
  /** The syntax of the prompts. */
  syntax: PromptSyntax;
  /** Cuts prompts into tokens. */
  tokenizer: CLIPTokenizer;
  /** Embeds them; its weights are in memory. */
  textEncoder: CLIPTextModel;
  /** The states that the model reads: by default the last; of SDXL `({ hiddenStates }) => hiddenStates.at(-2)!`. */
  read?: ((output: CLIPTextOutput) => Tensor) | undefined;
}

/**
 * Embeds prompts in which words have weights, by one of CLIP's text encoders, for loops of your own; a pipeline's
 * `encodePrompt({ prompt, promptSyntax })` does the same for all of its encoders. Long prompts come in chunks of as many
 * tokens as the encoder reads. states [B, N, D], pooled [B, P] of an encoder with a projection
 */
export function weightedPrompt(
  prompt: string | readonly string[],
  options: WeightedPromptOptions,
): TextEmbeddings {
  expectOptions("embed prompts", options, ["syntax", "tokenizer", "textEncoder", "read"]);
  const { syntax, tokenizer, textEncoder, read = ({ lastHiddenState }) => lastHiddenState } = options;
  const texts = [prompt].flat();
  expectTexts("prompt", texts);
  if (texts.length === 0) throw new RangeError("Cannot embed prompts: expected a prompt, got an empty list");
  return embedWeighted([{ texts, tokenizer, read: rowReader(textEncoder, read) }], syntax);
}

/** A text encoder as a function of rows of ids, which gives the states that a model reads. */
export function rowReader(
  textEncoder: CLIPTextModel,
  read: (output: CLIPTextOutput) => Tensor,
): RowEncoder["read"] {
  return (inputIds, attentionMask) => {
    const output = textEncoder.forward(inputIds, { attentionMask });
    return { states: read(output), pooled: "textEmbeds" in output ? output.textEmbeds as Tensor : undefined };
  };
}
