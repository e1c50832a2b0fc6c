import { nameOfKind } from "../core/error.ts";
import { formatShape, sameNumbers } from "../core/shape.ts";
import type { Tensor } from "../tensor/mod.ts";

/** Embeddings in place of texts, as `encodePrompt` makes them. */
export interface PromptEmbedsOptions {
  /** In place of `prompt`. [B, N, D] */
  promptEmbeds?: Tensor | undefined;
  /** In place of `negativePrompt`. [B, N, D] */
  negativePromptEmbeds?: Tensor | undefined;
}

/** Embeddings in place of texts, for models that also take an embedding of each whole text. */
export interface PooledPromptEmbedsOptions extends PromptEmbedsOptions {
  /** Embeddings of whole texts, beside promptEmbeds. [B, P] */
  pooledPromptEmbeds?: Tensor | undefined;
  /** Embeddings of whole texts, beside negativePromptEmbeds. [B, P] */
  negativePooledPromptEmbeds?: Tensor | undefined;
}

/** The result of `encodePrompt`, under the names of the options of `run`. */
export type PooledPromptEmbeds = { [name in keyof PooledPromptEmbedsOptions]: Tensor };

/** Prompts as texts, for models of one or of two text encoders. */
export interface TextOptions {
  prompt?: string | readonly string[] | undefined;
  prompt2?: string | readonly string[] | undefined;
  negativePrompt?: string | readonly string[] | undefined;
  negativePrompt2?: string | readonly string[] | undefined;
}

/** Prompts as text encoders embed them, a row a picture. */
export interface TextEmbeddings {
  /** A state for each token. [B, N, D] */
  readonly states: Tensor;
  /** A state for each whole text, for models that take it. [B, P] */
  readonly pooled?: Tensor | undefined;
}

/** The same for models that take both. */
export interface PooledTextEmbeddings extends TextEmbeddings {
  readonly pooled: Tensor;
}

/** Throws where prompts are given both as texts and as embeddings, or not at all. */
export function expectPromptsOnce(
  options: TextOptions & PromptEmbedsOptions & { clipSkip?: number | undefined },
): void {
  const { prompt, prompt2, negativePrompt, negativePrompt2, promptEmbeds, negativePromptEmbeds } = options;
  if (promptEmbeds && (prompt ?? prompt2) !== undefined) {
    throw new TypeError("Cannot draw: expected a prompt or promptEmbeds, got both");
  }
  if (negativePromptEmbeds && (negativePrompt ?? negativePrompt2) !== undefined) {
    throw new TypeError("Cannot draw: expected a negative prompt or negativePromptEmbeds, got both");
  }
  if (!promptEmbeds && (prompt ?? undefined) === undefined) {
    throw new TypeError("Cannot draw: expected a prompt or promptEmbeds, got neither");
  }
  if (promptEmbeds && options.clipSkip) {
    throw new TypeError(
      "Cannot draw with clipSkip and promptEmbeds: expected one of them, as encodePrompt skips layers already",
    );
  }
}

/** A pair of embeddings, the pooled ones second: both of them or neither. */
export function pairOf(
  embeddings: Readonly<Record<string, Tensor | undefined>>,
): PooledTextEmbeddings | undefined {
  const [[statesName, states], [pooledName, pooled]] = Object.entries(embeddings) as [
    [string, Tensor | undefined],
    [string, Tensor | undefined],
  ];
  if (states && pooled) return { states, pooled };
  if (!states && !pooled) return undefined;
  const [missing, there] = states ? [pooledName, statesName] : [statesName, pooledName];
  throw new TypeError(`Cannot draw: expected ${missing} beside ${there}, got none`);
}

/** Throws unless embeddings are of `rows` prompts, or any number, and of the model's width. */
export function expectEmbeds(name: string, { shape, rank }: Tensor, width: number, rows?: number): void {
  if (rank === 3 && shape[2] === width && shape[0] === (rows ?? shape[0]) && shape[0]! * shape[1]! > 0) {
    return;
  }
  throw new RangeError(
    `Cannot draw: expected ${name} [${rows ?? "B"}, N, ${width}], got ${formatShape(shape)}`,
  );
}

/** Throws unless embeddings of both kinds are of `rows` prompts, or any number, and of the model's widths. */
export function expectTextEmbeddings(
  kind: "prompt" | "negativePrompt",
  { states, pooled }: TextEmbeddings,
  widths: { readonly states: number; readonly pooled?: number | undefined },
  rows?: number,
): void {
  expectEmbeds(`${kind}Embeds`, states, widths.states, rows);
  if (!pooled) return;
  const shape = [states.shape[0]!, widths.pooled ?? pooled.shape[1] ?? 0];
  if (sameNumbers(pooled.shape, shape)) return;
  const name = kind === "prompt" ? "pooledPromptEmbeds" : "negativePooledPromptEmbeds";
  throw new RangeError(
    `Cannot draw: expected ${name} ${formatShape(shape)} beside ${kind}Embeds, got ${
      formatShape(pooled.shape)
    }`,
  );
}

/** Throws where the negative embeddings have another number of tokens: the model takes both in one batch. */
export function expectSameTokens(uncond: Tensor, cond: Tensor): void {
  if (uncond.shape[1] === cond.shape[1]) return;
  throw new RangeError(
    `Cannot draw: expected as many tokens in the prompt's embeddings and in the negative prompt's, got ` +
      `${cond.shape[1]} and ${uncond.shape[1]}; give promptEmbeds and negativePromptEmbeds of one length`,
  );
}

/** Each prompt with its negative one; throws where their numbers do not fit. */
export function pairPrompts(
  prompt: string | readonly string[],
  negativePrompt: string | readonly string[] = "",
): { prompts: string[]; negatives: string[] } {
  const prompts = [prompt].flat();
  const given = [negativePrompt].flat();
  expectTexts("prompt", prompts);
  expectTexts("negativePrompt", given);
  if (prompts.length === 0) throw new RangeError("Cannot draw: expected a prompt, got an empty list");
  const negatives = given.length === 1 ? prompts.map(() => given[0]!) : given;
  if (negatives.length === prompts.length) return { prompts, negatives };
  throw new RangeError(
    `Cannot draw: expected one negative prompt or ${prompts.length}, as there are prompts, got ${negatives.length}`,
  );
}

/** Throws where something else is given in place of texts. */
export function expectTexts(name: string, texts: readonly unknown[]): void {
  const at = texts.findIndex((text) => typeof text !== "string");
  if (at < 0) return;
  const got = nameOfKind(texts[at]);
  throw new TypeError(`Cannot draw: expected ${name} as a text or a list of texts, got ${got}`);
}

/** One text for all, or one for each of `count` prompts. */
export function spreadTexts(text: string | readonly string[], count: number, name = "prompt2"): string[] {
  const given = [text].flat();
  expectTexts(name, given);
  const texts = given.length === 1 ? new Array(count).fill(given[0]) : given;
  if (texts.length === count) return texts;
  throw new RangeError(
    `Cannot draw: expected one ${name} or ${count}, as there are prompts, got ${texts.length}`,
  );
}

/** A text as a notice shows it. */
export function shortened(text: string): string {
  return text.length > 200 ? `${text.slice(0, 160)} … (${text.length} characters)` : text;
}
