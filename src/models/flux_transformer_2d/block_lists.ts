import { cat, named, type Tensor } from "../../tensor/mod.ts";
import {
  type FluxBlockOptions,
  type FluxSingleTransformerBlock,
  fluxSingleTransformerBlock,
  type FluxTransformerBlock,
  fluxTransformerBlock,
} from "./blocks.ts";
import type { FluxBlockCounts } from "./config.ts";
import type { FluxNormModulations } from "./modulation.ts";

/** Weights of all blocks, but for the layers of their modulation. */
export interface FluxBlocks {
  transformer_blocks: FluxTransformerBlock[];
  single_transformer_blocks: FluxSingleTransformerBlock[];
}

/** Sees a picture's tokens behind a block [B, L, D]; its result, if there is one, is added to them. */
export type BehindBlock = (list: keyof FluxBlocks, block: number, image: Tensor) => Tensor | undefined;

/**
 * All blocks one behind the other: first text [B, N, D] and picture [B, L, D] are two streams, then one. → the picture's
 * tokens behind the last [B, L, D]
 */
export function fluxBlocks(
  streams: [texts: Tensor, image: Tensor],
  w: FluxBlocks,
  { modulation, config, options }: {
    readonly modulation: FluxNormModulations;
    readonly config: FluxBlockCounts;
    readonly options: FluxBlockOptions;
  },
  behind: BehindBlock,
): Tensor {
  const modulationOf = (path: string) => modulation.get(path)!;
  for (let i = 0; i < config.num_layers; i++) {
    const path = `transformer_blocks.${i}`;
    const norms = {
      norm1: modulationOf(`${path}.norm1`),
      norm1_context: modulationOf(`${path}.norm1_context`),
    };
    const block = () => fluxTransformerBlock(streams, w.transformer_blocks[i]!, norms, options);
    const [texts, image] = named(path, block, streams);
    const added = behind("transformer_blocks", i, image);
    streams = [texts, added ? image.add(added) : image];
  }
  if (config.num_single_layers === 0) return streams[1];

  const N = streams[0].shape[1]!;
  let x = cat(streams, 1);
  for (let i = 0; i < config.num_single_layers; i++) {
    const path = `single_transformer_blocks.${i}`;
    const norm = modulationOf(`${path}.norm`);
    const block = () => fluxSingleTransformerBlock(x, w.single_transformer_blocks[i]!, norm, options);
    x = namedParts(path, N, x, block);
    const added = behind("single_transformer_blocks", i, x.slice(1, N));
    if (added) x = x.add(added.pad([0, 0, N, 0]));
  }
  return x.slice(1, N);
}

/** A block of the single stream, which in diffusers takes and gives text and picture apart. x [B, N + L, D] */
function namedParts(path: string, N: number, x: Tensor, run: () => Tensor): Tensor {
  const apart = (both: Tensor) => [both.slice(1, 0, N), both.slice(1, N)];
  let y = x;
  let made: Tensor[] = [];
  const seen = named(path, () => made = apart(y = run()), apart(x));
  return seen.every((part, i) => part === made[i]) ? y : cat(seen, 1);
}
