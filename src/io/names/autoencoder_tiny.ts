import type { TensorInfo } from "../formats/stored_tensor.ts";
import { type Infos, renamed, shapeOf } from "./keys.ts";

/**
 * Tiny autoencoders in a file without a config, under diffusers' names, as TAEF2's, whose architecture diffusers does
 * not have: each coder is a sequence of convolutions and blocks, so that its keys tell all.
 */

const WHAT = "the tiny autoencoder";

/** The tensors, under the names that they have. */
export function tinyView<T extends TensorInfo>(
  tensors: ReadonlyMap<string, T>,
  prefix: string,
): Map<string, T> {
  return renamed(tensors, prefix, (key) => key);
}

/** An AutoencoderTiny's config, from keys and shapes. */
export function tinyConfig(tensors: Infos, prefix: string): Record<string, unknown> {
  const [encoder, decoder] = ["encoder", "decoder"].map((coder) =>
    coderOf(tensors, `${prefix}${coder}.layers.`)
  ) as [Coder, Coder];
  return {
    _class_name: "AutoencoderTiny",
    in_channels: encoder.first[1],
    latent_channels: decoder.first[1],
    out_channels: decoder.last[0],
    num_encoder_blocks: encoder.blocks,
    encoder_block_out_channels: encoder.blocks.map(() => encoder.first[0]),
    num_decoder_blocks: decoder.blocks,
    decoder_block_out_channels: decoder.blocks.map(() => decoder.first[0]),
  };
}

/** A sequence of layers: shapes of its first and last convolution, and the blocks behind each but the last. */
interface Coder {
  readonly first: readonly number[];
  readonly last: readonly number[];
  readonly blocks: readonly number[];
}

function coderOf(tensors: Infos, prefix: string): Coder {
  const convolutions: string[] = [];
  const blocks: number[] = [];
  for (let i = 0, gap = 0; gap < 3; i++) { // places of activations and of enlargements have no keys
    const [isBlock, isLayer] = [".conv.0.weight", ".weight"].map((key) => tensors.has(`${prefix}${i}${key}`));
    gap = isBlock || isLayer ? 0 : gap + 1;
    if (isBlock) blocks[convolutions.length - 1] = (blocks[convolutions.length - 1] ?? 0) + 1;
    else if (isLayer) blocks[convolutions.push(`${prefix}${i}.weight`) - 1] = 0;
  }
  const [first, last] = [convolutions[0], convolutions.at(-1)].map((key) =>
    shapeOf(tensors, key ?? `${prefix}0.weight`, WHAT)
  );
  return { first: first!, last: last!, blocks: blocks.slice(0, -1) };
}
