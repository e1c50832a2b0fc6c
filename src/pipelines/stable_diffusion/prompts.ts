import type { CLIPTextModel, Model, UNet2DConditionModel } from "../../models/mod.ts";
import { cat, scope, type Tensor, zeros } from "../../tensor/mod.ts";
import type { CLIPTokenizer } from "../../tokenizers/mod.ts";
import { acquireModels, type Residents } from "../memory/acquire.ts";
import { embedWeighted, type PromptSyntax, rowReader } from "../prompt_weights/weighted_prompt.ts";
import {
  expectPromptsOnce,
  expectSameTokens,
  expectTextEmbeddings,
  pairOf,
  pairPrompts,
  type PooledPromptEmbedsOptions,
  type PromptEmbedsOptions,
  shortened,
  spreadTexts,
  type TextEmbeddings,
  type TextOptions,
} from "../prompts.ts";
import { expectCount } from "../run_options.ts";

/** Prompts as texts, or embeddings in their place. */
export interface PromptOptions extends PromptEmbedsOptions {
  /** One text, or one for each picture of a batch. */
  prompt?: string | readonly string[] | undefined;
  /** Things not to be drawn: one text for all, or one for each prompt; "" by default. */
  negativePrompt?: string | readonly string[] | undefined;
  /** Pictures of each prompt; 1 by default. */
  numImagesPerPrompt?: number | undefined;
  /**
   * Layers of the text encoders that are left out at their end: for the prompts, as in diffusers, and where `promptSyntax` is
   * said for the negative ones, too, as in the programs that defined it.
   */
  clipSkip?: number | undefined;
  /**
   * Reads weights of words in the prompts, as AUTOMATIC1111's web interface or compel does, and prompts of any length in
   * chunks; by default prompts are plain, and cut where they are longer than the text encoder reads.
   */
  promptSyntax?: PromptSyntax | undefined;
  /** Told in one line what of a prompt was cut; console.warn by default. */
  onNotice?: ((line: string) => void) | undefined;
}

/** Options of `encodePrompt`. */
export interface EncodeOptions extends Omit<PromptOptions, keyof PromptEmbedsOptions> {
  /** Ends the loading of the text encoders. */
  signal?: AbortSignal | undefined;
}

/** The UNet's conditions: the prompts', and under guidance those of the negative ones. */
export interface Conditioning {
  readonly uncond: TextEmbeddings | undefined;
  readonly cond: TextEmbeddings;
}

/** The text encoders of a family. */
export interface PromptEncoder {
  /** Models that `encode` needs in memory. */
  readonly models: readonly (Model | undefined)[];
  /** Embeds texts, given for the first and for the second encoder, without the last `clipSkip` layers. */
  readonly encode: (
    texts: readonly [readonly string[], readonly string[]],
    clipSkip: number,
  ) => TextEmbeddings;
  /** Embeds texts of any length: those of a batch are filled up to one, but not the negative ones beside it. */
  readonly takesLong: boolean;
  /** The UNet takes embeddings of whole texts, too. */
  readonly isPooled: boolean;
  /** Their width, where it is known. */
  readonly pooledWidth?: number | undefined;
  /** Embeds a missing negative prompt as zeros instead of as "". */
  readonly zerosForEmpty: boolean;
}

/** CLIP's one encoder, whose last state is normed, also where layers are left out. */
export function clipEncoder(
  { tokenizer, textEncoder }: { tokenizer: CLIPTokenizer; textEncoder: CLIPTextModel },
  { onNotice = console.warn, promptSyntax }: PromptOptions,
): PromptEncoder {
  const tellCut = cutTeller(onNotice);
  return {
    models: [textEncoder],
    encode: ([texts], clipSkip) => {
      const read = rowReader(textEncoder, ({ lastHiddenState, hiddenStates }) => {
        if (clipSkip === 0) return lastHiddenState;
        return textEncoder.finalLayerNorm(stateBefore(hiddenStates, clipSkip, 1));
      });
      if (promptSyntax !== undefined) return embedWeighted([{ texts, tokenizer, read }], promptSyntax);
      const { inputIds, truncated } = tokenizer.encode(texts);
      tellCut(truncated, tokenizer);
      return { states: read(inputIds).states };
    },
    takesLong: promptSyntax !== undefined,
    isPooled: false,
    zerosForEmpty: false,
  };
}

/**
 * Embeds prompts and, under guidance, negative ones, or copies the embeddings that are given in their place; each
 * is repeated for its pictures. Without a syntax only the prompts skip layers, as in diffusers.
 */
export async function embedPrompts(
  parts: Residents & { unet: UNet2DConditionModel },
  options: PromptOptions & PooledPromptEmbedsOptions & TextOptions & { signal?: AbortSignal | undefined },
  isGuided: boolean,
  encoder: PromptEncoder,
): Promise<Conditioning> {
  const { models, encode, takesLong, isPooled, pooledWidth, zerosForEmpty } = encoder;
  expectPromptsOnce(options);
  const { numImagesPerPrompt = 1, clipSkip = 0, prompt, negativePrompt, negativePrompt2 } = options;
  expectCount("numImagesPerPrompt", numImagesPerPrompt);
  const given = givenEmbeddings(options, isPooled);
  const widths = { states: parts.unet.config.cross_attention_dim, pooled: pooledWidth };
  if (given.cond) expectTextEmbeddings("prompt", given.cond, widths);
  const texts = prompt ?? new Array<string>(given.cond!.states.shape[0]!).fill(""); // stand for embeddings
  const { prompts, negatives } = pairPrompts(texts, negativePrompt);
  if (given.uncond) expectTextEmbeddings("negativePrompt", given.uncond, widths, prompts.length);
  const second = pairPrompts(
    spreadTexts(options.prompt2 || texts, prompts.length),
    negativePrompt2 || negativePrompt,
  );
  const isZero = zerosForEmpty && negativePrompt === undefined;
  if (isGuided && isZero && negativePrompt2) {
    const { onNotice = console.warn } = options; // as in diffusers
    onNotice('negativePrompt2 has no effect: there is no negativePrompt; "" is one');
  }
  const encodesNegatives = isGuided && !given.uncond && !isZero;
  using encoders = !given.cond || encodesNegatives ? await acquireModels(parts, models, options) : undefined;

  const negativeSkip = takesLong ? clipSkip : 0;
  using made = scope();
  let { cond, uncond } = given;
  if (!cond && encodesNegatives && !takesLong && !isPooled && clipSkip === 0) { // both halves in one batch
    const both = encode([[...negatives, ...prompts], []], 0);
    [uncond, cond] = both.states.chunk(2).map((states) => ({ states }));
  }
  cond ??= encode([prompts, second.prompts], clipSkip);
  if (encodesNegatives) uncond ??= encode([negatives, second.negatives], negativeSkip);
  else if (isGuided) uncond ??= mapped(cond, (x) => zeros(x.shape));
  if (isGuided && takesLong && encoders) {
    uncond = lengthened(uncond!, cond, () => encode([[""], [""]], negativeSkip));
    cond = lengthened(cond, uncond, () => encode([[""], [""]], clipSkip));
  }
  if (isGuided) expectSameTokens(uncond!.states, cond.states);
  const own = (x: TextEmbeddings, copies: boolean) =>
    mapped(x, (x) => {
      const rows = x.repeatInterleave(numImagesPerPrompt, 0);
      return made.keep(copies ? rows.clone() : rows); // which a run may free
    });
  return {
    uncond: isGuided ? own(uncond!, uncond === given.uncond) : undefined,
    cond: own(cond, cond === given.cond),
  };
}

/** Embeddings filled up to as many tokens as others have, by chunks of an empty text; both tools do so. */
function lengthened(
  embeddings: TextEmbeddings,
  { states: { shape: [, most] } }: TextEmbeddings,
  embedEmpty: () => TextEmbeddings,
): TextEmbeddings {
  const { states, pooled } = embeddings;
  const [B, N] = states.shape as [number, number, number];
  if (N >= most!) return embeddings;
  const empty = embedEmpty().states; // [1, L, D]
  const chunks = Math.floor((most! - N) / empty.shape[1]!);
  return { states: cat([states, empty.repeat([B, chunks, 1])], 1), pooled };
}

function givenEmbeddings(options: PooledPromptEmbedsOptions, isPooled: boolean): Partial<Conditioning> {
  const { promptEmbeds, pooledPromptEmbeds, negativePromptEmbeds, negativePooledPromptEmbeds } = options;
  if (!isPooled) {
    const alone = (states: Tensor | undefined) => states && { states };
    return { cond: alone(promptEmbeds)!, uncond: alone(negativePromptEmbeds) };
  }
  return {
    cond: pairOf({ promptEmbeds, pooledPromptEmbeds })!,
    uncond: pairOf({ negativePromptEmbeds, negativePooledPromptEmbeds }),
  };
}

/** Both kinds of embeddings in one batch, the negative ones first, in place of those given. [B or 2 B, …] */
export function inOneBatch({ uncond, cond }: Conditioning): TextEmbeddings {
  if (!uncond) return cond;
  using made = scope(...tensorsOf(uncond), ...tensorsOf(cond));
  return {
    states: made.keep(cat([uncond.states, cond.states])),
    pooled: cond.pooled && made.keep(cat([uncond.pooled!, cond.pooled])),
  };
}

/** Embeddings in memory of their own, in place of those given. */
export function ownEmbeddings(embeddings: TextEmbeddings): TextEmbeddings {
  using made = scope(...tensorsOf(embeddings));
  return mapped(embeddings, (x) => made.keep(x.clone()));
}

function mapped({ states, pooled }: TextEmbeddings, of: (x: Tensor) => Tensor): TextEmbeddings {
  return { states: of(states), pooled: pooled && of(pooled) };
}

function tensorsOf({ states, pooled }: TextEmbeddings): Tensor[] {
  return pooled ? [states, pooled] : [states];
}

/** The state before those of the last `clipSkip` layers, counted from the `last` of all. */
export function stateBefore(hiddenStates: readonly Tensor[], clipSkip: number, last: 1 | 2): Tensor {
  const state = Number.isInteger(clipSkip) && clipSkip >= 0 ? hiddenStates.at(-last - clipSkip) : undefined;
  if (state) return state;
  throw new RangeError(
    `Cannot skip ${clipSkip} layers of the text encoder: expected a whole number from 0 to ${
      hiddenStates.length - last
    }`,
  );
}

/** Tells once of each cut what of a prompt is left out: all of it where it is short. */
export function cutTeller(
  onNotice: (line: string) => void,
): (cuts: readonly string[], tokenizer: CLIPTokenizer) => void {
  const told = new Set<string>();
  return (cuts, { modelMaxLength }) => {
    for (const cut of cuts) {
      if (!cut || told.has(cut)) continue;
      told.add(cut);
      onNotice(`The prompt is longer than ${modelMaxLength} tokens; this is left out: ${shortened(cut)}`);
    }
  };
}
