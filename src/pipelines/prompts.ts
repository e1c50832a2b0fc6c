import type { CLIPTextModel } from "../models/mod.ts";
import { stack, type Tensor } from "../tensor/mod.ts";
import type { CLIPTokenizer } from "../tokenizers/mod.ts";

/** What is to be drawn, and how often. */
export interface PromptOptions {
  /** One text, or one for each picture of a batch. */
  prompt: string | readonly string[];
  /** What is not to be drawn: one text for all, or one for each prompt; "" by default. */
  negativePrompt?: string | readonly string[] | undefined;
  /** Pictures of each prompt; 1 by default. */
  numImagesPerPrompt?: number | undefined;
  /** Layers of the text encoder that are left out at its end. */
  clipSkip?: number | undefined;
  /** Told in one line what of a prompt was cut; console.warn by default. */
  onNotice?: ((line: string) => void) | undefined;
}

/** Each prompt with its negative one; throws where their numbers do not fit. */
export function pairPrompts(
  { prompt, negativePrompt = "" }: PromptOptions,
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

/** Embeds texts, each repeated for its pictures, and tells what was cut. → [B · numImagesPerPrompt, N, D]. */
export function embedPrompts(
  texts: readonly string[],
  { tokenizer, textEncoder }: { tokenizer: CLIPTokenizer; textEncoder: CLIPTextModel },
  { numImagesPerPrompt = 1, clipSkip, onNotice = console.warn }: Omit<PromptOptions, "prompt">,
): Tensor {
  const { inputIds, truncated } = tokenizer.encode(texts);
  for (const cut of truncated) if (cut) onNotice(cutNotice(cut, tokenizer));
  const { lastHiddenState, hiddenStates } = textEncoder.forward(inputIds);
  const states = clipSkip ? textEncoder.finalLayerNorm(skipped(hiddenStates, clipSkip)) : lastHiddenState;
  return repeatRows(states, numImagesPerPrompt);
}

/** Each row `count` times, one after another. [B, ...] → [B · count, ...] */
export function repeatRows(x: Tensor, count: number): Tensor {
  if (count === 1) return x;
  const [B, ...row] = x.shape as readonly [number, ...number[]];
  return stack(Array.from({ length: count }, () => x), 1).reshape([B * count, ...row]);
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
