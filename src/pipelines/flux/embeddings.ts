import { formatShape } from "../../core/shape.ts";
import { cat, scope, type Tensor } from "../../tensor/mod.ts";
import type { FluxParts } from "./parts.ts";
import { type FluxEmbeddings, type FluxPromptOptions, fluxPrompts, type FluxTexts } from "./prompts.ts";
import { expectCount } from "../run.ts";
import { shortened } from "../stable_diffusion/prompts.ts";
import { withModels } from "../memory/residency.ts";

type Options = FluxPromptOptions & { signal?: AbortSignal | undefined };

/**
 * Embeds the prompts, or copies the embeddings that are given; each is repeated for its pictures. Under
 * guidance by a negative prompt its embeddings come first: in one batch with the others, unless they are of
 * another length.
 */
export async function embedPromptsFlux(
  parts: FluxParts,
  options: Options,
): Promise<{ embeddings: FluxEmbeddings[]; guided: boolean }> {
  const { numImagesPerPrompt = 1, maxSequenceLength = 512 } = options;
  expectCount("numImagesPerPrompt", numImagesPerPrompt);
  if (!Number.isSafeInteger(maxSequenceLength) || maxSequenceLength < 1 || maxSequenceLength > 512) {
    throw new RangeError(
      `Cannot draw with maxSequenceLength ${maxSequenceLength}: expected a whole number from 1 to 512`,
    );
  }
  const told = fluxPrompts(options);
  for (const one of told) if ("states" in one) expectEmbeddings(one, parts);
  const texts = told.filter((one) => "clip" in one);
  const embedded = texts.length > 0
    ? await embed(parts, texts, { ...options, maxSequenceLength })
    : undefined;

  using made = scope(...(embedded ? [embedded.states, embedded.pooled] : []));
  const apart = embedded ? rowsOf(embedded, texts.map(({ clip }) => clip.length)) : [];
  const embeddings = batched(told.map((one) => {
    const { states, pooled } = "states" in one ? copied(one) : apart[texts.indexOf(one)]!;
    return {
      states: states.repeatInterleave(numImagesPerPrompt, 0),
      pooled: pooled.repeatInterleave(numImagesPerPrompt, 0),
    };
  }));
  for (const { states, pooled } of embeddings) [states, pooled].forEach((tensor) => made.keep(tensor));
  return { embeddings, guided: told.length === 2 };
}

/** Embeds lists of texts, all in one run of each encoder, and tells once what was cut of each. */
async function embed(
  parts: FluxParts,
  texts: readonly FluxTexts[],
  { maxSequenceLength, onNotice = console.warn, signal }: Options & { maxSequenceLength: number },
): Promise<FluxEmbeddings> {
  const { tokenizer, textEncoder, tokenizer2, textEncoder2 } = parts;
  const clip = tokenizer.encode(texts.flatMap((one) => one.clip));
  const t5 = tokenizer2.encode(texts.flatMap((one) => one.t5), { maxLength: maxSequenceLength });
  for (const line of [...cuts("CLIP", clip), ...cuts("T5", t5)]) onNotice(line);

  const embedClip = () => textEncoder.forward(clip.inputIds).pooledOutput;
  const embedT5 = () => textEncoder2.forward(t5.inputIds).lastHiddenState; // fillers are read too, unmasked
  const how = { signal, onNotice };
  const pooled = await withModels(parts, [textEncoder], how, () => alone(embedClip));
  const states = await withModels(parts, [textEncoder2], how, () => alone(embedT5));
  return { states, pooled };
}

/** A result without what else its computation made. */
function alone(compute: () => Tensor): Tensor {
  using made = scope();
  return made.keep(compute());
}

/** The rows of each list. */
function rowsOf({ states, pooled }: FluxEmbeddings, counts: readonly number[]): FluxEmbeddings[] {
  const [s, p] = [states.split(counts), pooled.split(counts)];
  return counts.map((_, i) => ({ states: s[i]!, pooled: p[i]! }));
}

/** Embeddings that a run may free, as it frees its own. */
function copied({ states, pooled }: FluxEmbeddings): FluxEmbeddings {
  return { states: states.clone(), pooled: pooled.clone() };
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
function batched(embeddings: readonly FluxEmbeddings[]): FluxEmbeddings[] {
  const lengths = embeddings.map(({ states }) => states.shape[1]);
  if (lengths.some((N) => N !== lengths[0])) return [...embeddings];
  return [{
    states: cat(embeddings.map(({ states }) => states)),
    pooled: cat(embeddings.map(({ pooled }) => pooled)),
  }];
}

/** Throws where embeddings are not those that the transformer takes. */
function expectEmbeddings({ states, pooled }: FluxEmbeddings, { transformer }: FluxParts): void {
  const { joint_attention_dim: D, pooled_projection_dim: P } = transformer.config;
  const [B] = states.shape;
  if (
    states.rank === 3 && states.size > 0 && states.shape[2] === D && String(pooled.shape) === String([B, P])
  ) {
    return;
  }
  throw new RangeError(
    `Cannot draw: expected embeddings [B, N, ${D}] and [B, ${P}], got ${formatShape(states.shape)} and ${
      formatShape(pooled.shape)
    }`,
  );
}
