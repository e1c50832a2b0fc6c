import type { Tensor } from "../../tensor/mod.ts";
import { expectInput } from "../inputs.ts";
import type { BehindBlock, FluxBlocks } from "./block_lists.ts";
import { type FluxTransformer2DConfig, innerDim } from "./config.ts";

/** Tokens that ControlNets add behind blocks, as FluxControlNetModel gives them. */
export interface FluxControlSamples {
  /** Behind blocks of the dual stream: each for as many blocks in a row as there are for one. [1 or B, L, D] each */
  controlnetBlockSamples?: readonly Tensor[] | undefined;
  /** The same behind blocks of the single stream. [1 or B, L, D] each */
  controlnetSingleBlockSamples?: readonly Tensor[] | undefined;
  /** The first go to the blocks in turn, again and again, as XLabs' models were trained; false by default. */
  controlnetBlocksRepeat?: boolean | undefined;
}

/** Names of the options by the lists of blocks. */
const OPTIONS = {
  transformer_blocks: "controlnetBlockSamples",
  single_transformer_blocks: "controlnetSingleBlockSamples",
} as const;

/** Number of the sample that is added behind block `i` of `blocks`, of so many. */
export function sampleBehind(i: number, blocks: number, count: number, repeats: boolean): number {
  return repeats ? i % count : Math.floor(i / Math.ceil(blocks / count));
}

/** Checks what ControlNets add to B pictures of L tokens, and names it as inputs of a trace. */
export function controlInputs(
  options: FluxControlSamples,
  [B, L]: readonly [B: number, L: number],
  config: FluxTransformer2DConfig,
): Record<string, Tensor> {
  const entries = Object.entries(OPTIONS).flatMap(([list, name]) => {
    const samples = options[name] ?? [];
    const blocks = countOf(list as keyof FluxBlocks, config);
    if (samples.length > blocks) {
      throw new RangeError(
        `Cannot use ${name}: expected at most ${blocks}, as there are blocks, got ${samples.length}`,
      );
    }
    return samples.map((sample, i) => {
      expectInput(`use ${name}[${i}]`, sample, [sample.shape?.[0] === 1 ? 1 : B, L, innerDim(config)]);
      return [sampleName(list, i), sample] as const;
    });
  });
  return Object.fromEntries(entries);
}

/** Gives what the inputs of a trace add behind each block. */
export function addedBy(
  inputs: Readonly<Record<string, Tensor>>,
  config: FluxTransformer2DConfig,
  repeats: boolean,
): BehindBlock {
  const samplesOf = (list: keyof FluxBlocks) => {
    const samples: Tensor[] = [];
    for (let x; (x = inputs[sampleName(list, samples.length)]);) samples.push(x);
    return samples;
  };
  const samples = {
    transformer_blocks: samplesOf("transformer_blocks"),
    single_transformer_blocks: samplesOf("single_transformer_blocks"),
  };
  return (list, i) => {
    const { length } = samples[list];
    const isRepeated = repeats && list === "transformer_blocks";
    return length > 0 ? samples[list][sampleBehind(i, countOf(list, config), length, isRepeated)] : undefined;
  };
}

function countOf(list: keyof FluxBlocks, { num_layers, num_single_layers }: FluxTransformer2DConfig): number {
  return list === "transformer_blocks" ? num_layers : num_single_layers;
}

function sampleName(list: string, i: number): string {
  return `controlnet of ${list}.${i}`;
}
