import { cat, scope, type Tensor } from "../../tensor/mod.ts";
import { withModels } from "../memory/acquire.ts";
import {
  expectEmbeds,
  expectPromptsOnce,
  pairPrompts,
  type PromptEmbedsOptions,
  shortened,
} from "../prompts.ts";
import { expectCount } from "../run_options.ts";
import { KLEIN_STATES } from "../text_states.ts";
import type { Flux2Embeddings } from "./denoiser.ts";
import type { Flux2KleinParts } from "./klein_parts.ts";

/** Prompts as texts, or embeddings in their place. */
export interface Flux2KleinPromptOptions extends PromptEmbedsOptions {
  /** One text, or one for each picture of a batch. */
  prompt?: string | readonly string[] | undefined;
  /** Things not to be drawn: one text for all, or one for each prompt; "" by default. It counts under guidance. */
  negativePrompt?: string | readonly string[] | undefined;
  /** Pictures of each prompt; 1 by default. */
  numImagesPerPrompt?: number | undefined;
  /**
   * Tokens that are read of a prompt, those of the chat's template among them; shorter prompts are filled up to this
   * number, which the picture depends on. Any number, as in diffusers; 512 by default.
   */
  maxSequenceLength?: number | undefined;
  /** Layers of the text encoder whose states are put side by side; 9, 18 and 27 by default, as the models were trained. */
  textEncoderOutLayers?: readonly number[] | undefined;
  /** Told in one line what of a prompt was cut, and which options have no effect; console.warn by default. */
  onNotice?: ((line: string) => void) | undefined;
}

/** Options of `encodePrompt`. */
export interface Flux2KleinEncodeOptions extends Omit<Flux2KleinPromptOptions, keyof PromptEmbedsOptions> {
  /** Ends the loading of the text encoder. */
  signal?: AbortSignal | undefined;
}

type Options = Flux2KleinPromptOptions & { signal?: AbortSignal | undefined };

/**
 * Embeds prompts and, under guidance, negative ones, in one run of the text encoder, or copies the embeddings that are
 * given in their place; each is repeated for its pictures.
 */
export async function embedPrompts(
  parts: Flux2KleinParts,
  options: Options,
  isGuided: boolean,
): Promise<Flux2Embeddings> {
  expectPromptsOnce(options);
  const { prompt, negativePrompt, promptEmbeds, negativePromptEmbeds, numImagesPerPrompt = 1 } = options;
  expectCount("numImagesPerPrompt", numImagesPerPrompt);
  const width = parts.transformer.config.joint_attention_dim;
  if (promptEmbeds) expectEmbeds("promptEmbeds", promptEmbeds, width);
  const texts = prompt ?? new Array<string>(promptEmbeds!.shape[0]!).fill(""); // stand for embeddings
  const { prompts, negatives } = pairPrompts(texts, negativePrompt);
  if (negativePromptEmbeds) expectEmbeds("negativePromptEmbeds", negativePromptEmbeds, width, prompts.length);

  const wanted = [
    ...isGuided && !negativePromptEmbeds ? negatives : [],
    ...promptEmbeds ? [] : prompts,
  ];
  const encoded = wanted.length > 0 ? await encode(parts, wanted, options) : undefined;
  using made = scope(...(encoded ? [encoded] : []));
  const rows = (given: Tensor | undefined, first: number) => {
    const states = given ?? encoded!.slice(0, first, first + prompts.length);
    return made.keep(states.repeatInterleave(numImagesPerPrompt, 0).clone()); // which a run frees
  };
  return {
    cond: rows(promptEmbeds, wanted.length - prompts.length),
    uncond: isGuided ? rows(negativePromptEmbeds, 0) : undefined,
  };
}

/** The states of texts at some layers, side by side. → [texts, N, layers · D] */
async function encode(
  { tokenizer, textEncoder, transformer, ...others }: Flux2KleinParts,
  texts: readonly string[],
  { maxSequenceLength = 512, textEncoderOutLayers = KLEIN_STATES, onNotice = console.warn, signal }: Options,
): Promise<Tensor> {
  expectCount("maxSequenceLength", maxSequenceLength);
  const width = textEncoderOutLayers.length * textEncoder.config.hidden_size;
  if (width !== transformer.config.joint_attention_dim) {
    throw new RangeError(
      `Cannot embed prompts by ${textEncoderOutLayers.length} layers of width ${textEncoder.config.hidden_size}: ` +
        `expected ${transformer.config.joint_attention_dim} values a token, as the transformer takes`,
    );
  }
  const chats = texts.map((content) =>
    tokenizer.applyChatTemplate([{ role: "user", content }], {
      addGenerationPrompt: true,
      enableThinking: false,
    })
  );
  const { inputIds, attentionMask, truncated } = tokenizer.encode(chats, {
    maxLength: maxSequenceLength,
    padding: "max_length",
  });
  for (const cut of new Set(truncated)) {
    if (cut === "") continue;
    onNotice(`The prompt is longer than ${maxSequenceLength} tokens; this is left out: ${shortened(cut)}`);
  }
  const parts = { tokenizer, textEncoder, transformer, ...others };
  const embed = () => {
    using made = scope();
    const { hiddenStates } = textEncoder.forward(inputIds, {
      attentionMask,
      hiddenStates: textEncoderOutLayers,
    });
    return made.keep(cat(hiddenStates, 2));
  };
  const load = () => withModels(parts, [textEncoder], { signal, onNotice }, embed);
  return await textEncoder.inTurn(textEncoderOutLayers, load);
}
