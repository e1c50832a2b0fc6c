import { formatShape } from "../core/shape.ts";
import type { Tensor } from "../tensor/mod.ts";

/** Embeddings in place of texts, as `encodePrompt` makes them. */
export interface PromptEmbedsOptions {
  /** What the text encoders made of texts, in place of `prompt`. [B, N, D] */
  promptEmbeds?: Tensor | undefined;
  /** In place of `negativePrompt`. [B, N, D] */
  negativePromptEmbeds?: Tensor | undefined;
}

/** Embeddings in place of texts, for models that are also told of each text as a whole. */
export interface PooledPromptEmbedsOptions extends PromptEmbedsOptions {
  /** Of whole texts, beside promptEmbeds. [B, P] */
  pooledPromptEmbeds?: Tensor | undefined;
  /** Beside negativePromptEmbeds. [B, P] */
  negativePooledPromptEmbeds?: Tensor | undefined;
}

/** What `encodePrompt` makes of prompts: the names are those of the options of `run`. */
export type PooledPromptEmbeds = { [name in keyof PooledPromptEmbedsOptions]: Tensor };

/** What texts say, or embeddings in their place. */
export interface Told extends PooledPromptEmbedsOptions {
  prompt?: string | readonly string[] | undefined;
  prompt2?: string | readonly string[] | undefined;
  negativePrompt?: string | readonly string[] | undefined;
  negativePrompt2?: string | readonly string[] | undefined;
  clipSkip?: number | undefined;
}

/** Throws where prompts are told as texts and as embeddings, or not at all. */
export function expectToldOnce(options: Told): void {
  const { prompt, prompt2, negativePrompt, negativePrompt2, promptEmbeds, negativePromptEmbeds } = options;
  if (promptEmbeds && (prompt ?? prompt2) !== undefined) {
    throw new TypeError("Cannot draw: expected a prompt or promptEmbeds, got both");
  }
  if (negativePromptEmbeds && (negativePrompt ?? negativePrompt2) !== undefined) {
    throw new TypeError("Cannot draw: expected a negative prompt or negativePromptEmbeds, got both");
  }
  if (!promptEmbeds && prompt === undefined) {
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
): { states: Tensor; pooled: Tensor } | undefined {
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

/** Throws where the negative embeddings have another number of tokens: the model takes both in one batch. */
export function expectSameTokens(untold: Tensor, told: Tensor): void {
  if (untold.shape[1] === told.shape[1]) return;
  throw new RangeError(
    `Cannot draw: expected as many tokens in the prompt's embeddings and in the negative prompt's, got ` +
      `${told.shape[1]} and ${untold.shape[1]}; give promptEmbeds and negativePromptEmbeds of one length`,
  );
}
