import { cat } from "../../tensor/mod.ts";
import type { IPAdapterImageOptions } from "../ip_adapter.ts";
import type { LatentLoopOptions } from "../latents/loop.ts";
import { embedWeighted, rowReader } from "../prompt_weights/weighted_prompt.ts";
import type { PooledPromptEmbedsOptions } from "../prompts.ts";
import {
  cutTeller,
  type PromptEncoder,
  type PromptOptions,
  stateBefore,
} from "../stable_diffusion/prompts.ts";
import type { TextPart } from "../textual_inversion.ts";
import type { StableDiffusionXLParts } from "./parts.ts";

/** Prompts for two text encoders. */
export interface StableDiffusionXLPromptOptions extends PromptOptions, PooledPromptEmbedsOptions {
  /**
   * For the second text encoder: one text for all, or one for each prompt; by default that of the first.
   */
  prompt2?: string | readonly string[] | undefined;
  /** Things not to be drawn, for the second text encoder; the first one's by default. */
  negativePrompt2?: string | readonly string[] | undefined;
}

/** Options of `encodePrompt`. */
export interface EncodeOptionsXL
  extends Omit<StableDiffusionXLPromptOptions, keyof PooledPromptEmbedsOptions> {
  /** Ends the loading of the text encoders. */
  signal?: AbortSignal | undefined;
}

/** Options of every pipeline of Stable Diffusion XL, with diffusers' defaults. */
export interface StableDiffusionXLOptions
  extends LatentLoopOptions, StableDiffusionXLPromptOptions, IPAdapterImageOptions {
  /** 50 by default. */
  numInferenceSteps?: number | undefined;
  /** Weight of the prompt against the negative one: 1 and less switches guidance off. 5 by default. */
  guidanceScale?: number | undefined;
}

/**
 * Two of CLIP's encoders, whose states before the last layer stand side by side, without the norm at the end. The
 * refiner has only the second, which gets the first prompt.
 */
export function clipEncoders(
  parts: StableDiffusionXLParts,
  { onNotice = console.warn, promptSyntax }: PromptOptions,
): PromptEncoder {
  const { textEncoder, textEncoder2, forceZerosForEmptyPrompt = true } = parts;
  const encoders = textPartsOf(parts);
  const tellCut = cutTeller(onNotice);
  return {
    models: [textEncoder, textEncoder2],
    encode: (texts, clipSkip) => {
      const readers = encoders.map(({ tokenizer, textEncoder }, i) => ({
        tokenizer,
        texts: texts[i]!,
        read: rowReader(textEncoder, ({ hiddenStates }) => stateBefore(hiddenStates, clipSkip, 2)),
      }));
      if (promptSyntax !== undefined) return embedWeighted(readers, promptSyntax);
      const outputs = readers.map(({ tokenizer, texts, read }) => {
        const { inputIds, truncated } = tokenizer.encode(texts);
        tellCut(truncated, tokenizer);
        return read(inputIds);
      });
      return { states: cat(outputs.map(({ states }) => states), 2), pooled: outputs.at(-1)!.pooled! };
    },
    takesLong: promptSyntax !== undefined,
    isPooled: true,
    pooledWidth: textEncoder2?.config.projection_dim, // there may be no encoders where embeddings are given
    zerosForEmpty: forceZerosForEmptyPrompt,
  };
}

/** The text encoders with their tokenizers; the refiner has only the second. */
export function textPartsOf(
  { tokenizer, textEncoder, tokenizer2, textEncoder2 }: StableDiffusionXLParts,
): TextPart[] {
  const second = { tokenizer: tokenizer2, textEncoder: textEncoder2 };
  return tokenizer && textEncoder ? [{ tokenizer, textEncoder }, second] : [second];
}
