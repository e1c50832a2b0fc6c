import type { Tensor } from "../../tensor/mod.ts";
import { pairOf, type PooledPromptEmbedsOptions } from "../prompts.ts";
import { spreadTexts } from "../stable_diffusion/prompts.ts";

/**
 * What is to be drawn, and how often: texts, or embeddings in their place, of which promptEmbeds are T5's and the pooled
 * ones CLIP's.
 */
export interface FluxPromptOptions extends PooledPromptEmbedsOptions {
  /** One text, or one for each picture of a batch. */
  prompt?: string | readonly string[] | undefined;
  /** For T5: one text for all, or one for each prompt; the prompt itself by default. */
  prompt2?: string | readonly string[] | undefined;
  /**
   * What is not to be drawn: one text for all, or one for each prompt.
   * It counts where trueCfgScale is over 1.
   */
  negativePrompt?: string | readonly string[] | undefined;
  /** What is not to be drawn, for T5; the negative prompt itself by default. */
  negativePrompt2?: string | readonly string[] | undefined;
  /** Pictures of each prompt; 1 by default. */
  numImagesPerPrompt?: number | undefined;
  /** Tokens that T5 reads of a prompt, which are filled up to this number; 512, the most, by default. */
  maxSequenceLength?: number | undefined;
  /** Guidance by the negative prompt, which the model then runs on too; 1, by default, leaves it out. */
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

/** What the transformer is told of the prompts, a row a picture. */
export interface FluxEmbeddings {
  /** T5's states. [B, N, D] */
  states: Tensor;
  /** CLIP's state of each text. [B, P] */
  pooled: Tensor;
}

/** Texts for CLIP and T5, one of each a picture. */
export interface FluxTexts {
  clip: string[];
  t5: string[];
}

/** What is to be drawn, and under guidance by a negative prompt, in front of it, what is not. */
export function fluxPrompts(options: FluxPromptOptions): (FluxTexts | FluxEmbeddings)[] {
  const positive = positiveOf(options);
  const negative = negativeOf(options, countOf(positive));
  return negative ? [negative, positive] : [positive];
}

function positiveOf(
  { prompt, prompt2, promptEmbeds: states, pooledPromptEmbeds: pooled }: FluxPromptOptions,
): FluxTexts | FluxEmbeddings {
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
  if (clip.length === 0) throw new RangeError("Cannot draw: expected a prompt, got an empty list");
  return { clip, t5: spreadTexts(prompt2 || clip, clip.length) };
}

/** Undefined where it does not count. */
function negativeOf(options: FluxPromptOptions, count: number): FluxTexts | FluxEmbeddings | undefined {
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

function countOf(told: FluxTexts | FluxEmbeddings): number {
  return "clip" in told ? told.clip.length : told.states.shape[0]!;
}
