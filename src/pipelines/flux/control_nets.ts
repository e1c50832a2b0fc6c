import type {
  FluxControlNetModel,
  FluxControlSamples,
  FluxTransformer2DConfig,
  Positions,
} from "../../models/mod.ts";
import { sampleBehind } from "../../models/flux_transformer_2d/control.ts";
import type { Tensor } from "../../tensor/mod.ts";

/** A ControlNet at work on one picture. */
export interface FluxNet {
  readonly model: FluxControlNetModel;
  /** Its picture as it sees it: packed latents [B, L, 4 C], or pixels in [-1, 1] [B, 3, H, W]. */
  readonly cond: Tensor;
  readonly mode: number | undefined;
  readonly scale: number;
  readonly start: number;
  readonly end: number;
}

/** Inputs of a step's ControlNets. */
interface StepInput {
  /** Packed latents. [B, L, 4 C] */
  readonly hiddenStates: Tensor;
  readonly encoderHiddenStates: Tensor;
  readonly pooledProjections: Tensor;
  readonly imgIds: Positions;
  readonly txtIds: Positions;
  /** From 0 to 1. */
  readonly timestep: number;
  /** Counted from 0. */
  readonly step: number;
  /** For ControlNets that were taught it. */
  readonly guidance: number;
}

/** Numbers of the transformer's blocks. */
type FluxCounts = Pick<FluxTransformer2DConfig, "num_layers" | "num_single_layers">;

/** Tokens that one ControlNet adds behind blocks. */
export interface FluxAdded {
  readonly block: readonly Tensor[];
  readonly single: readonly Tensor[];
  readonly repeats: boolean;
}

/** The ControlNets of one run. */
export class FluxControl {
  readonly #nets: readonly FluxNet[];
  readonly #steps: number;
  readonly #counts: FluxCounts;

  /** Made by `beginFluxControl`, with the numbers of the transformer's blocks. */
  constructor(
    nets: readonly FluxNet[],
    steps: number,
    counts: FluxCounts,
  ) {
    [this.#nets, this.#steps, this.#counts] = [nets, steps, counts];
  }

  /** The models, which must be in memory for `samples`. */
  get models(): FluxControlNetModel[] {
    return [...new Set(this.#nets.map(({ model }) => model))];
  }

  /** Tokens that all ControlNets together add in a step, without values where calls are only measured. */
  samples({ step, guidance, hiddenStates, ...input }: StepInput, isMeasured: boolean): FluxControlSamples {
    const added: FluxAdded[] = [];
    for (const { model, cond, mode, scale, start, end } of this.#nets) {
      if (step / this.#steps < start || (step + 1) / this.#steps > end || scale === 0) continue;
      const forward = () => {
        const output = model.forward(hiddenStates, cond, {
          ...input,
          guidance: model.config.guidance_embeds ? guidance : undefined,
          controlnetMode: mode,
          conditioningScale: scale,
        });
        const { controlnetBlockSamples: block, controlnetSingleBlockSamples: single } = output;
        added.push({ block, single, repeats: model.seesPixels });
      };
      if (isMeasured) model.measure(forward);
      else forward();
    }
    return sumOfSamples(added, this.#counts);
  }
}

/** Sums of tokens that several ControlNets add to a transformer of so many blocks. */
export function sumOfSamples(added: readonly FluxAdded[], counts: FluxCounts): FluxControlSamples {
  const [first, ...others] = added;
  if (!first) return {};
  const isAlike = ({ block, single, repeats }: FluxAdded) =>
    block.length === first.block.length && single.length === first.single.length && repeats === first.repeats;
  const all = others.every(isAlike) ? added : added.map((one) => spread(one, counts));
  return {
    controlnetBlockSamples: sumOf(all.map(({ block }) => block)),
    controlnetSingleBlockSamples: sumOf(all.map(({ single }) => single)),
    controlnetBlocksRepeat: all[0]!.repeats,
  };
}

/** One sample for each block of the transformer: models of different numbers of blocks are added so. */
function spread(
  { block, single, repeats }: FluxAdded,
  { num_layers, num_single_layers }: FluxCounts,
): FluxAdded {
  const each = (samples: readonly Tensor[], blocks: number, repeats: boolean) =>
    Array.from(
      { length: samples.length && blocks },
      (_, i) => samples[sampleBehind(i, blocks, samples.length, repeats)]!,
    );
  return {
    block: each(block, num_layers, repeats),
    single: each(single, num_single_layers, false),
    repeats: false,
  };
}

/** Sums of the lists that are not empty. */
function sumOf(lists: readonly (readonly Tensor[])[]): readonly Tensor[] {
  const [first = [], ...others] = lists.filter(({ length }) => length > 0);
  return others.reduce((sum, list) => sum.map((x, i) => x.add(list[i]!)), first);
}
