import type { CLIPTextModel, CLIPTextModelWithProjection } from "../models/mod.ts";
import { cat, scope, type Tensor, zeros } from "../tensor/mod.ts";
import type { CLIPTokenizer } from "../tokenizers/mod.ts";
import { cutNotice, pairPrompts, type PromptOptions, repeatRows, spreadTexts } from "./prompts.ts";
import type { StableDiffusionXLParts } from "./stable_diffusion_xl_parts.ts";

/** What is to be drawn, told to two text encoders. */
export interface StableDiffusionXLPromptOptions extends PromptOptions {
  /**
   * For the second text encoder: one text for all, or one for each prompt; what the first is told by default.
   */
  prompt2?: string | readonly string[] | undefined;
  /** What is not to be drawn, for the second text encoder; what the first is told by default. */
  negativePrompt2?: string | readonly string[] | undefined;
}

/** What the UNet is told of the prompts, a row a picture. */
export interface PromptEmbeddings {
  /** States of both text encoders side by side. [B, N, D] */
  states: Tensor;
  /** The second encoder's embedding of each text. [B, P] */
  pooled: Tensor;
}

interface Encoder {
  tokenizer: CLIPTokenizer;
  textEncoder: CLIPTextModel | CLIPTextModelWithProjection;
}

/** Embeds the prompts, each repeated for its pictures; with guidance the negative ones come first. */
export function embedPromptsXL(
  parts: StableDiffusionXLParts,
  options: StableDiffusionXLPromptOptions,
  guided: boolean,
): PromptEmbeddings {
  const { numImagesPerPrompt = 1, clipSkip = 0 } = options;
  const { forceZerosForEmptyPrompt = true } = parts;
  const { prompt, negativePrompt, negativePrompt2 } = options;
  const { prompts, negatives } = pairPrompts(options);
  const { prompts: prompts2, negatives: negatives2 } = pairPrompts({
    prompt: spreadTexts(options.prompt2 || prompt, prompts.length),
    negativePrompt: negativePrompt2 || negativePrompt,
  });
  const encode = embedder(encodersOf(parts), options.onNotice ?? console.warn);
  const repeated = ({ states, pooled }: PromptEmbeddings): PromptEmbeddings => ({
    states: repeatRows(states, numImagesPerPrompt),
    pooled: repeatRows(pooled, numImagesPerPrompt),
  });

  using made = scope();
  const kept = ({ states, pooled }: PromptEmbeddings): PromptEmbeddings => ({
    states: made.keep(states),
    pooled: made.keep(pooled),
  });
  const told = encode([prompts, prompts2], clipSkip);
  if (!guided) return kept(repeated(told));
  const empty = forceZerosForEmptyPrompt && negativePrompt === undefined && negativePrompt2 === undefined;
  const untold = empty
    ? { states: zeros(told.states.shape), pooled: zeros(told.pooled.shape) }
    : encode([negatives, negatives2], 0); // no layers skipped, as in diffusers
  const [first, second] = [repeated(untold), repeated(told)];
  return kept({ states: cat([first.states, second.states]), pooled: cat([first.pooled, second.pooled]) });
}

/** The encoders that there are. The refiner's only one is told the first prompt. */
function encodersOf({ tokenizer, textEncoder, tokenizer2, textEncoder2 }: StableDiffusionXLParts): Encoder[] {
  const second = { tokenizer: tokenizer2, textEncoder: textEncoder2 };
  return tokenizer && textEncoder ? [{ tokenizer, textEncoder }, second] : [second];
}

/** Embeds texts, given for each encoder, and tells once what was cut of each. */
function embedder(
  encoders: readonly Encoder[],
  onNotice: (line: string) => void,
): (texts: readonly (readonly string[])[], clipSkip: number) => PromptEmbeddings {
  const cuts = new Set<string>();
  return (texts, clipSkip) => {
    const outputs = encoders.map(({ tokenizer, textEncoder }, i) => {
      const { inputIds, truncated } = tokenizer.encode(texts[i]!);
      for (const cut of truncated) {
        if (!cut || cuts.has(cut)) continue;
        cuts.add(cut);
        onNotice(cutNotice(cut, tokenizer));
      }
      return textEncoder.forward(inputIds);
    });
    const pooled = outputs.flatMap((output) => "textEmbeds" in output ? [output.textEmbeds as Tensor] : []);
    return {
      states: cat(outputs.map(({ hiddenStates }) => stateOf(hiddenStates, clipSkip)), 2),
      pooled: pooled.at(-1)!,
    };
  };
}

/** The state before the last layer, or before those skipped, without the norm at the end. */
function stateOf(hiddenStates: readonly Tensor[], clipSkip: number): Tensor {
  const state = Number.isInteger(clipSkip) && clipSkip >= 0 ? hiddenStates.at(-2 - clipSkip) : undefined;
  if (state) return state;
  throw new RangeError(
    `Cannot skip ${clipSkip} layers of the text encoder: expected a whole number from 0 to ${
      hiddenStates.length - 2
    }`,
  );
}
