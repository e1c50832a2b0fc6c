import { Flux2Transformer2DModel, type Model, Qwen3Model, ZImageTransformer2DModel } from "../models/mod.ts";

/** The hidden states of its text encoder that FLUX.2 klein was trained with, side by side. */
export const KLEIN_STATES: readonly number[] = [9, 18, 27];

/** The hidden state of its text encoder that Z-Image was trained with: that in front of the last layer. */
export const Z_IMAGE_STATE = -2;

/**
 * Limits a text encoder to the layers of which the transformer beside it reads states: no others are loaded, and none count
 * where memory is planned. Returns it where that is so.
 */
export function limitText(
  { textEncoder, transformer }: Readonly<Record<string, unknown>>,
): Model | undefined {
  if (!(textEncoder instanceof Qwen3Model)) return undefined;
  if (transformer instanceof ZImageTransformer2DModel) textEncoder.limitTo([Z_IMAGE_STATE]);
  else if (transformer instanceof Flux2Transformer2DModel) textEncoder.limitTo(KLEIN_STATES);
  else return undefined;
  return textEncoder;
}
