import { cat, free, scope, type Tensor } from "../../tensor/mod.ts";
import { withModels } from "../memory/acquire.ts";
import {
  expectTextEmbeddings,
  expectTexts,
  pairOf,
  type PooledPromptEmbedsOptions,
  type PooledTextEmbeddings,
  shortened,
  spreadTexts,
} from "../prompts.ts";
import { expectCount } from "../run_options.ts";
import type { FluxParts, FluxTextParts } from "./parts.ts";

/**
 * Prompts as texts, or embeddings in their place, of which promptEmbeds are T5's and the pooled
 * ones CLIP's.
 */
export interface FluxPromptOptions extends PooledPromptEmbedsOptions {
  /** One text, or one for each picture of a batch. */
  prompt?: string | readonly string[] | undefined;
  /** For T5: one text for all, or one for each prompt; the prompt itself by default. */
  prompt2?: string | readonly string[] | undefined;
  /**
   * Things not to be drawn: one text for all, or one for each prompt. It counts if trueCfgScale is over 1.
   */
  negativePrompt?: string | readonly string[] | undefined;
  /** Things not to be drawn, for T5; the negative prompt itself by default. */
  negativePrompt2?: string | readonly string[] | undefined;
  /** Pictures of each prompt; 1 by default. */
  numImagesPerPrompt?: number | undefined;
  /** Tokens that T5 reads of a prompt, which are filled up to this number; 512, the most, by default. */
  maxSequenceLength?: number | undefined;
  /** Guidance by the negative prompt, for which the model runs a second time; off at 1, the default. */
  trueCfgScale?: number | undefined;
  /** Told in one line what of a prompt was cut, and which options have no effect; console.warn by default. */
  onNotice?: ((line: string) => void) | undefined;
}

/** Options of `encodePrompt`. */
export interface FluxEncodeOptions
  extends Omit<FluxPromptOptions, keyof PooledPromptEmbedsOptions | "trueCfgScale"> {
  /** Ends the loading of the text encoders. */
  signal?: AbortSignal | undefined;
}

type Options = FluxPromptOptions & { signal?: AbortSignal | undefined };

/** Texts for CLIP and T5, one of each a picture. */
interface Texts {
  readonly clip: readonly string[];
  readonly t5: readonly string[];
}

/**
 * Embeds the prompts, or copies the embeddings that are given; each is repeated for its pictures. Under
 * guidance by a negative prompt its embeddings come first: in one batch with the others, unless they are of
 * another length.
 */
export async function embedPrompts(
  parts: FluxTextParts & Partial<Pick<FluxParts, "transformer">>,
  options: Options,
): Promise<{ embeddings: PooledTextEmbeddings[]; guided: boolean }> {
  const { numImagesPerPrompt = 1, maxSequenceLength = 512 } = options;
  expectCount("numImagesPerPrompt", numImagesPerPrompt);
  if (!Number.isSafeInteger(maxSequenceLength) || maxSequenceLength < 1 || maxSequenceLength > 512) {
    throw new RangeError(
      `Cannot draw with maxSequenceLength ${maxSequenceLength}: expected a whole number from 1 to 512`,
    );
  }
  const cond = positiveOf(options);
  const uncond = negativeOf(options, countOf(cond));
  const prompts = uncond ? [uncond, cond] : [cond];
  if (parts.transformer) {
    const { joint_attention_dim: states, pooled_projection_dim: pooled } = parts.transformer.config;
    if ("states" in cond) expectTextEmbeddings("prompt", cond, { states, pooled });
    if (uncond && "states" in uncond) expectTextEmbeddings("negativePrompt", uncond, { states, pooled });
  }
  const texts = prompts.filter((prompt) => "clip" in prompt);
  const encoded = texts.length > 0
    ? await encode(parts, texts, { ...options, maxSequenceLength })
    : undefined;

  using made = scope(...(encoded ? [encoded.states, encoded.pooled] : []));
  const counts = texts.map(({ clip }) => clip.length);
  const [states, pooled] = [encoded?.states.split(counts), encoded?.pooled.split(counts)];
  const embeddings = batched(prompts.map((prompt) => {
    const rows = (x: Tensor) => x.repeatInterleave(numImagesPerPrompt, 0);
    if ("states" in prompt) { // copied, as a run frees its embeddings
      return { states: rows(prompt.states.clone()), pooled: rows(prompt.pooled.clone()) };
    }
    const i = texts.indexOf(prompt);
    return { states: rows(states![i]!), pooled: rows(pooled![i]!) };
  }));
  for (const { states, pooled } of embeddings) [states, pooled].forEach((tensor) => made.keep(tensor));
  return { embeddings, guided: uncond !== undefined };
}

/** The prompts, as texts or as embeddings. */
function positiveOf(
  { prompt, prompt2, promptEmbeds: states, pooledPromptEmbeds: pooled }: FluxPromptOptions,
): Texts | PooledTextEmbeddings {
  const given = pairOf({ promptEmbeds: states, pooledPromptEmbeds: pooled });
  if (given && (prompt ?? prompt2) !== undefined) {
    throw new TypeError("Cannot draw: expected a prompt or promptEmbeds, got both");
  }
  if (given) return given;
  if (prompt === undefined) {
    throw new TypeError(
      "Cannot draw: expected a prompt, or promptEmbeds with pooledPromptEmbeds, got neither",
    );
  }
  const clip = [prompt].flat();
  expectTexts("prompt", clip);
  if (clip.length === 0) throw new RangeError("Cannot draw: expected a prompt, got an empty list");
  return { clip, t5: spreadTexts(prompt2 || clip, clip.length) };
}

/** The negative prompts; undefined where they do not count. */
function negativeOf(options: FluxPromptOptions, count: number): Texts | PooledTextEmbeddings | undefined {
  const { negativePrompt, negativePrompt2, trueCfgScale = 1, onNotice = console.warn } = options;
  const { negativePromptEmbeds, negativePooledPromptEmbeds } = options;
  const given = pairOf({ negativePromptEmbeds, negativePooledPromptEmbeds });
  if (given && (negativePrompt ?? negativePrompt2) !== undefined) {
    throw new TypeError("Cannot draw: expected a negative prompt or negativePromptEmbeds, got both");
  }
  if (!(trueCfgScale > 1)) {
    if (given || negativePrompt) {
      onNotice("The negative prompt has no effect: FLUX follows one only at a trueCfgScale over 1");
    }
    return undefined;
  }
  if (given && countOf(given) !== count) {
    throw new RangeError(
      `Cannot draw: expected negativePromptEmbeds of ${count} prompts, as there are, got ${countOf(given)}`,
    );
  }
  if (given) return given;
  if (negativePrompt === undefined) {
    onNotice(`trueCfgScale ${trueCfgScale} has no effect: there is no negative prompt; "" is one`);
    return undefined;
  }
  const clip = spreadTexts(negativePrompt, count, "negative prompt");
  return { clip, t5: spreadTexts(negativePrompt2 || clip, count, "negativePrompt2") };
}

function countOf(prompts: Texts | PooledTextEmbeddings): number {
  return "clip" in prompts ? prompts.clip.length : prompts.states.shape[0]!;
}

/** Embeds lists of texts, all in one run of each encoder, and says once which words of each were cut. */
async function encode(
  parts: FluxTextParts,
  texts: readonly Texts[],
  { maxSequenceLength, onNotice = console.warn, signal }: Options & { maxSequenceLength: number },
): Promise<PooledTextEmbeddings> {
  const { tokenizer, textEncoder, tokenizer2, textEncoder2 } = parts;
  const clip = tokenizer.encode(texts.flatMap((one) => one.clip));
  const t5 = tokenizer2.encode(texts.flatMap((one) => one.t5), { maxLength: maxSequenceLength });
  for (const line of [...cuts("CLIP", clip), ...cuts("T5", t5)]) onNotice(line);

  const embedClip = () => textEncoder.forward(clip.inputIds).pooledOutput;
  const embedT5 = () => textEncoder2.forward(t5.inputIds).lastHiddenState; // fillers are read too, unmasked
  using made = new DisposableStack();
  const pooled = await withModels(parts, [textEncoder], { signal, onNotice }, () => alone(embedClip));
  made.adopt(pooled, free);
  const states = await withModels(parts, [textEncoder2], { signal, onNotice }, () => alone(embedT5));
  made.move(); // they are the caller's
  return { states, pooled };
}

/** A result without what else its computation made. */
function alone(compute: () => Tensor): Tensor {
  using made = scope();
  return made.keep(compute());
}

/** A line for each text that an encoder does not read whole. */
function cuts(
  encoder: string,
  { inputIds, truncated }: { inputIds: number[][]; truncated: readonly string[] },
): string[] {
  return [...new Set(truncated)].filter((cut) => cut !== "").map((cut) =>
    `${encoder} reads ${inputIds[0]!.length} tokens of a prompt; it leaves out: ${shortened(cut)}`
  );
}

/** In one batch, so that the model runs once for all, unless the lengths differ. */
function batched(embeddings: readonly PooledTextEmbeddings[]): PooledTextEmbeddings[] {
  const lengths = embeddings.map(({ states }) => states.shape[1]);
  if (lengths.some((N) => N !== lengths[0])) return [...embeddings];
  return [{
    states: cat(embeddings.map(({ states }) => states)),
    pooled: cat(embeddings.map(({ pooled }) => pooled)),
  }];
}
