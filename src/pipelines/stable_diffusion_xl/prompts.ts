import type { CLIPTextModel, CLIPTextModelWithProjection } from "../../models/mod.ts";
import { cat, scope, type Tensor, zeros } from "../../tensor/mod.ts";
import type { CLIPTokenizer } from "../../tokenizers/mod.ts";
import { expectCount } from "../run.ts";
import {
  expectEmbeds,
  expectSameTokens,
  expectToldOnce,
  pairOf,
  type PooledPromptEmbedsOptions,
} from "../prompts.ts";
import {
  cutNotice,
  type Embedded,
  inOneBatch,
  pairPrompts,
  type PromptOptions,
  spreadTexts,
} from "../stable_diffusion/prompts.ts";
import { bringIn } from "../memory/residency.ts";
import type { StableDiffusionXLParts } from "./parts.ts";

/** What is to be drawn, told to two text encoders. */
export interface StableDiffusionXLPromptOptions extends PromptOptions, PooledPromptEmbedsOptions {
  /**
   * For the second text encoder: one text for all, or one for each prompt; what the first is told by default.
   */
  prompt2?: string | readonly string[] | undefined;
  /** What is not to be drawn, for the second text encoder; what the first is told by default. */
  negativePrompt2?: string | readonly string[] | undefined;
}

/** Options of `encodePrompt`. */
export interface EncodeOptionsXL
  extends Omit<StableDiffusionXLPromptOptions, keyof PooledPromptEmbedsOptions> {
  /** Ends the loading of the text encoders. */
  signal?: AbortSignal | undefined;
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

/**
 * Embeds prompts and, under guidance, negative ones, or copies the embeddings that are given in their place, each
 * repeated for its pictures. As in diffusers only the prompts skip layers, and where none is not wanted, the negative
 * embeddings are zeros.
 */
export async function embedToldXL(
  parts: StableDiffusionXLParts,
  options: StableDiffusionXLPromptOptions & { signal?: AbortSignal | undefined },
  guided: boolean,
): Promise<Embedded<PromptEmbeddings>> {
  expectToldOnce(options);
  const { numImagesPerPrompt = 1, clipSkip = 0, prompt, negativePrompt, negativePrompt2 } = options;
  expectCount("numImagesPerPrompt", numImagesPerPrompt);
  const { forceZerosForEmptyPrompt = true } = parts;
  const { promptEmbeds, pooledPromptEmbeds, negativePromptEmbeds, negativePooledPromptEmbeds } = options;
  const given = pairOf({ promptEmbeds, pooledPromptEmbeds });
  const givenNot = pairOf({ negativePromptEmbeds, negativePooledPromptEmbeds });
  const width = parts.unet.config.cross_attention_dim;
  if (given) expectEmbeds("promptEmbeds", given.states, width);
  const texts = prompt ?? new Array<string>(given!.states.shape[0]!).fill(""); // stand for embeddings
  const { prompts, negatives } = pairPrompts(texts, negativePrompt);
  if (givenNot) expectEmbeds("negativePromptEmbeds", givenNot.states, width, prompts.length);
  const second = pairPrompts(
    spreadTexts(options.prompt2 || texts, prompts.length),
    negativePrompt2 || negativePrompt,
  );
  const empty = forceZerosForEmptyPrompt && negativePrompt === undefined && negativePrompt2 === undefined;
  const encodes = !given || (guided && !givenNot && !empty);
  using _encoders = encodes
    ? await bringIn(parts, [parts.textEncoder, parts.textEncoder2], options)
    : undefined;

  using made = scope();
  const encode = embedder(encodersOf(parts), options.onNotice ?? console.warn);
  const own = ({ states, pooled }: PromptEmbeddings, copies: boolean): PromptEmbeddings => {
    const row = (x: Tensor) => {
      const rows = x.repeatInterleave(numImagesPerPrompt, 0);
      return made.keep(copies ? rows.clone() : rows);
    };
    return { states: row(states), pooled: row(pooled) };
  };
  const told = given ?? encode([prompts, second.prompts], clipSkip);
  const untold = () =>
    givenNot ??
      (empty
        ? { states: zeros(told.states.shape), pooled: zeros(told.pooled.shape) }
        : encode([negatives, second.negatives], 0));
  const not = guided ? untold() : undefined;
  if (not) expectSameTokens(not.states, told.states);
  return {
    untold: not && own(not, not === givenNot),
    told: own(told, told === given),
  };
}

/** Embeddings of both kinds in one batch, the negative ones first, in place of those given. */
export function inOneBatchXL({ untold, told }: Embedded<PromptEmbeddings>): PromptEmbeddings {
  const batch = (name: keyof PromptEmbeddings) => inOneBatch({ untold: untold?.[name], told: told[name] });
  return { states: batch("states"), pooled: batch("pooled") };
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
