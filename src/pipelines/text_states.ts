import { type Model, Qwen3Model, ZImageTransformer2DModel } from "../models/mod.ts";

/** The hidden state of its text encoder that Z-Image was trained with: that in front of the last layer. */
export const Z_IMAGE_STATE = -2;

/**
 * Limits a text encoder to the layers of which the transformer beside it reads states: no others are loaded, and none count
 * where memory is planned. Returns it where that is so.
 */
export function limitText(
  { textEncoder, transformer }: Readonly<Record<string, unknown>>,
): Model | undefined {
  if (!(textEncoder instanceof Qwen3Model && transformer instanceof ZImageTransformer2DModel)) {
    return undefined;
  }
  textEncoder.limitTo([Z_IMAGE_STATE]);
  return textEncoder;
}
