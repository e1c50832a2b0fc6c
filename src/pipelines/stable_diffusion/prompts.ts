import type { CLIPTextModel, UNet2DConditionModel } from "../../models/mod.ts";
import { cat, scope, type Tensor } from "../../tensor/mod.ts";
import type { CLIPTokenizer } from "../../tokenizers/mod.ts";
import { expectCount } from "../run.ts";
import { expectEmbeds, expectSameTokens, expectToldOnce, type PromptEmbedsOptions } from "../prompts.ts";
import { bringIn, type Residents } from "../memory/residency.ts";

/** What turns prompts into embeddings for a UNet. */
export interface TextParts extends Residents {
  readonly tokenizer: CLIPTokenizer;
  readonly textEncoder: CLIPTextModel;
  readonly unet: UNet2DConditionModel;
}

/** What is to be drawn, and how often: texts, or embeddings in their place. */
export interface PromptOptions extends PromptEmbedsOptions {
  /** One text, or one for each picture of a batch. */
  prompt?: string | readonly string[] | undefined;
  /** What is not to be drawn: one text for all, or one for each prompt; "" by default. */
  negativePrompt?: string | readonly string[] | undefined;
  /** Pictures of each prompt; 1 by default. */
  numImagesPerPrompt?: number | undefined;
  /** Layers of the text encoder that are left out at its end. */
  clipSkip?: number | undefined;
  /** Told in one line what of a prompt was cut; console.warn by default. */
  onNotice?: ((line: string) => void) | undefined;
}

/** Options of `encodePrompt`. */
export interface EncodeOptions extends Omit<PromptOptions, keyof PromptEmbedsOptions> {
  /** Ends the loading of the text encoders. */
  signal?: AbortSignal | undefined;
}

/** Embeddings of negative prompts, where they count, and of prompts, a row for each picture. */
export interface Embedded<T> {
  readonly untold: T | undefined;
  readonly told: T;
}

/** Each prompt with its negative one; throws where their numbers do not fit. */
export function pairPrompts(
  prompt: string | readonly string[],
  negativePrompt: string | readonly string[] = "",
): { prompts: string[]; negatives: string[] } {
  const prompts = [prompt].flat();
  const given = [negativePrompt].flat();
  if (prompts.length === 0) throw new RangeError("Cannot draw: expected a prompt, got an empty list");
  const negatives = given.length === 1 ? prompts.map(() => given[0]!) : given;
  if (negatives.length === prompts.length) return { prompts, negatives };
  throw new RangeError(
    `Cannot draw: expected one negative prompt or ${prompts.length}, as there are prompts, got ${negatives.length}`,
  );
}

/**
 * Embeds prompts and, under guidance, negative ones, or copies the embeddings that are given in their place. As in
 * diffusers only the prompts skip layers.
 */
export async function embedTold(
  parts: TextParts,
  options: PromptOptions & { signal?: AbortSignal | undefined },
  guided: boolean,
): Promise<Embedded<Tensor>> {
  expectToldOnce(options);
  const { prompt, negativePrompt, promptEmbeds, negativePromptEmbeds, clipSkip, numImagesPerPrompt = 1 } =
    options;
  expectCount("numImagesPerPrompt", numImagesPerPrompt);
  const width = parts.unet.config.cross_attention_dim;
  if (promptEmbeds) expectEmbeds("promptEmbeds", promptEmbeds, width);
  const texts = prompt ?? new Array<string>(promptEmbeds!.shape[0]!).fill(""); // stand for embeddings
  const { prompts, negatives } = pairPrompts(texts, negativePrompt);
  if (negativePromptEmbeds) expectEmbeds("negativePromptEmbeds", negativePromptEmbeds, width, prompts.length);
  const encodes = !promptEmbeds || (guided && !negativePromptEmbeds);
  using _encoder = encodes ? await bringIn(parts, [parts.textEncoder], options) : undefined;

  using made = scope();
  const embed = (texts: readonly string[], skip?: number) =>
    embedPrompts(texts, parts, { ...options, clipSkip: skip });
  const copied = (given: Tensor) => given.repeatInterleave(numImagesPerPrompt, 0).clone(); // which a run may free
  const keep = (untold: Tensor | undefined, told: Tensor) => {
    if (untold) expectSameTokens(untold, told);
    return { untold: untold && made.keep(untold), told: made.keep(told) };
  };
  if (guided && !promptEmbeds && !negativePromptEmbeds && !clipSkip) {
    const both = embed([...negatives, ...prompts]);
    const [untold, told] = both.chunk(2);
    return keep(untold, told!);
  }
  const untold = guided ? negativePromptEmbeds ? copied(negativePromptEmbeds) : embed(negatives) : undefined;
  return keep(untold, promptEmbeds ? copied(promptEmbeds) : embed(prompts, clipSkip));
}

/** Embeddings in one batch, the negative ones first, in place of those given. → [B or 2 B, ...] */
export function inOneBatch({ untold, told }: Embedded<Tensor>): Tensor {
  if (!untold) return told;
  using made = scope(untold, told);
  return made.keep(cat([untold, told]));
}

/** Embeddings in memory of their own, in place of those given. */
export function apart({ untold, told }: Embedded<Tensor>): Embedded<Tensor> {
  using made = scope(told, ...(untold ? [untold] : []));
  return { untold: untold && made.keep(untold.clone()), told: made.keep(told.clone()) };
}

/** Embeds texts, each repeated for its pictures, and tells what was cut. → [B · numImagesPerPrompt, N, D]. */
export function embedPrompts(
  texts: readonly string[],
  { tokenizer, textEncoder }: Pick<TextParts, "tokenizer" | "textEncoder">,
  { numImagesPerPrompt = 1, clipSkip, onNotice = console.warn }: Omit<PromptOptions, "prompt">,
): Tensor {
  const { inputIds, truncated } = tokenizer.encode(texts);
  for (const cut of truncated) if (cut) onNotice(cutNotice(cut, tokenizer));
  const { lastHiddenState, hiddenStates } = textEncoder.forward(inputIds);
  const states = clipSkip ? textEncoder.finalLayerNorm(skipped(hiddenStates, clipSkip)) : lastHiddenState;
  return states.repeatInterleave(numImagesPerPrompt, 0);
}

/** One text for all, or one for each of `count` prompts. */
export function spreadTexts(text: string | readonly string[], count: number, name = "prompt2"): string[] {
  const given = [text].flat();
  const texts = given.length === 1 ? new Array(count).fill(given[0]) : given;
  if (texts.length === count) return texts;
  throw new RangeError(
    `Cannot draw: expected one ${name} or ${count}, as there are prompts, got ${texts.length}`,
  );
}

function skipped(hiddenStates: readonly Tensor[], clipSkip: number): Tensor {
  const state = Number.isInteger(clipSkip) ? hiddenStates.at(-1 - clipSkip) : undefined;
  if (clipSkip > 0 && state) return state;
  throw new RangeError(
    `Cannot skip ${clipSkip} layers of the text encoder: expected a whole number from 0 to ${
      hiddenStates.length - 1
    }`,
  );
}

/** The line that tells what of a prompt was cut: all of it where it is short. */
export function cutNotice(cut: string, { modelMaxLength }: CLIPTokenizer): string {
  return `The prompt is longer than ${modelMaxLength} tokens; this is left out: ${shortened(cut)}`;
}

/** A text as a notice shows it. */
export function shortened(text: string): string {
  return text.length > 200 ? `${text.slice(0, 160)} … (${text.length} characters)` : text;
}
