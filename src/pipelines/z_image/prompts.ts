import { cat, scope, type Tensor } from "../../tensor/mod.ts";
import { padded } from "../../models/z_image_transformer_2d/layout.ts";
import { withModels } from "../memory/acquire.ts";
import {
  expectEmbeds,
  expectPromptsOnce,
  pairPrompts,
  type PromptEmbedsOptions,
  shortened,
} from "../prompts.ts";
import { expectCount } from "../run_options.ts";
import { Z_IMAGE_STATE } from "../text_states.ts";
import type { ZImageParts } from "./parts.ts";

/** Prompts as texts, or embeddings in their place, which may be of different lengths. */
export interface ZImagePromptOptions extends PromptEmbedsOptions {
  /** One text, or one for each picture of a batch. */
  prompt?: string | readonly string[] | undefined;
  /** Things not to be drawn: one text for all, or one for each prompt; "" by default. It counts under guidance. */
  negativePrompt?: string | readonly string[] | undefined;
  /** Tokens of each row of promptEmbeds that count, where shorter ones are filled up behind; all by default. */
  promptLengths?: readonly number[] | undefined;
  /** Tokens of each row of negativePromptEmbeds that count; all by default. */
  negativePromptLengths?: readonly number[] | undefined;
  /** Pictures of each prompt; 1 by default. */
  numImagesPerPrompt?: number | undefined;
  /** Tokens that are read of a prompt at most, those of the chat's template among them; 512 by default. */
  maxSequenceLength?: number | undefined;
  /** Told in one line what of a prompt was cut, and which options have no effect; console.warn by default. */
  onNotice?: ((line: string) => void) | undefined;
}

/** Options of `encodePrompt`. */
export interface ZImageEncodeOptions
  extends Omit<ZImagePromptOptions, keyof PromptEmbedsOptions | "promptLengths" | "negativePromptLengths"> {
  /** Ends the loading of the text encoder. */
  signal?: AbortSignal | undefined;
}

/** Embeddings of prompts. */
export interface Captions {
  /** A state for each token, rows filled up behind their own. [B, N, D] */
  readonly states: Tensor;
  /** Tokens of each row that count. [B] */
  readonly lengths: readonly number[];
}

type Options = ZImagePromptOptions & { signal?: AbortSignal | undefined };

/**
 * Embeds prompts and, under guidance, negative ones, which come first, or copies the embeddings that are given in their place;
 * each is repeated for its pictures.
 */
export async function embedPrompts(
  parts: ZImageParts,
  options: Options,
  isGuided: boolean,
): Promise<Captions> {
  expectPromptsOnce(options);
  const { prompt, negativePrompt, numImagesPerPrompt = 1 } = options;
  expectCount("numImagesPerPrompt", numImagesPerPrompt);
  const given = givenCaptions("prompt", options, parts);
  const texts = prompt ?? new Array<string>(given!.lengths.length).fill(""); // stand for embeddings
  const { prompts, negatives } = pairPrompts(texts, negativePrompt);
  const unwanted = isGuided ? givenCaptions("negativePrompt", options, parts, prompts.length) : undefined;
  const encoded = await encode(parts, [
    ...isGuided && !unwanted ? negatives : [],
    ...given ? [] : prompts,
  ], options);

  using made = scope(...(encoded ? [encoded.states] : []));
  const { states, lengths } = joined([unwanted, encoded, given].filter((one) => one !== undefined));
  return {
    states: made.keep(states.repeatInterleave(numImagesPerPrompt, 0).clone()), // which a run frees
    lengths: lengths.flatMap((length) => new Array<number>(numImagesPerPrompt).fill(length)),
  };
}

/** Embeddings that the options have in place of texts, of `rows` prompts or any number. */
function givenCaptions(
  name: "prompt" | "negativePrompt",
  options: Options,
  { transformer }: ZImageParts,
  rows?: number,
): Captions | undefined {
  const { [`${name}Embeds` as const]: states, [`${name}Lengths` as const]: lengths } = options;
  if (!states) {
    if (!lengths) return undefined;
    throw new TypeError(`Cannot draw: expected ${name}Embeds beside ${name}Lengths, got none`);
  }
  expectEmbeds(`${name}Embeds`, states, transformer.config.cap_feat_dim, rows);
  const [B, N] = states.shape as [number, number];
  const fits = (n: number) => Number.isInteger(n) && n >= 1 && n <= N;
  if (lengths && (lengths.length !== B || !lengths.every(fits))) {
    throw new RangeError(
      `Cannot draw: expected ${name}Lengths as ${B} whole numbers from 1 to ${N}, got [${
        lengths.join(", ")
      }]`,
    );
  }
  return { states, lengths: lengths ?? new Array<number>(B).fill(N) };
}

/** Embeds texts in one run of the text encoder; undefined where there are none. */
async function encode(
  parts: ZImageParts,
  texts: readonly string[],
  { maxSequenceLength = 512, onNotice = console.warn, signal }: Options,
): Promise<Captions | undefined> {
  expectCount("maxSequenceLength", maxSequenceLength);
  if (texts.length === 0) return undefined;
  const { tokenizer, textEncoder } = parts;
  const chats = texts.map((content) =>
    tokenizer.applyChatTemplate([{ role: "user", content }], {
      addGenerationPrompt: true,
      enableThinking: true,
    })
  );
  const { inputIds, truncated } = tokenizer.encode(chats, { maxLength: maxSequenceLength, padding: false });
  for (const cut of new Set(truncated)) {
    if (cut === "") continue;
    onNotice(`The prompt is longer than ${maxSequenceLength} tokens; this is left out: ${shortened(cut)}`);
  }
  // Tokens do not see those behind them, so that what fills rows up changes nothing.
  const N = padded(Math.max(...inputIds.map((ids) => ids.length)));
  const rows = inputIds.map((
    ids,
  ) => [...ids, ...new Array<number>(N - ids.length).fill(tokenizer.padTokenId)]);
  const hiddenStates = [Z_IMAGE_STATE];
  const embed = () => {
    using made = scope();
    return made.keep(textEncoder.forward(rows, { hiddenStates }).hiddenStates[0]!);
  };
  const load = () => withModels(parts, [textEncoder], { signal, onNotice }, embed);
  const states = await textEncoder.inTurn(hiddenStates, load);
  return { states, lengths: inputIds.map((ids) => ids.length) };
}

/** Rows of several embeddings below each other, filled up to whole lengths of captions. */
function joined(captions: readonly Captions[]): Captions {
  const N = padded(Math.max(...captions.map(({ states }) => states.shape[1]!)));
  return {
    states: cat(captions.map(({ states }) => states.pad([0, 0, 0, N - states.shape[1]!]))),
    lengths: captions.flatMap(({ lengths }) => lengths),
  };
}

/** Some rows, no longer than they need to be. */
export function rowsOf({ states, lengths }: Captions, first: number, last: number): Captions {
  const own = lengths.slice(first, last);
  return { states: states.slice(0, first, last).slice(1, 0, padded(Math.max(...own))), lengths: own };
}
