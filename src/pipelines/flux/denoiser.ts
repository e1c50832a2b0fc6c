import type {
  FluxControlSamples,
  FluxModulation,
  FluxTransformer2DModel,
  FluxTransformer2DOptions,
  Positions,
} from "../../models/mod.ts";
import { cat, free, type Tensor } from "../../tensor/mod.ts";
import { imageIds, textIds } from "../../models/flux_transformer_2d/pos_embed.ts";
import type { PooledTextEmbeddings } from "../prompts.ts";
import type { FluxControl } from "./control_nets.ts";
import { cachingOf, type ModelCall, ModelCalls } from "../step_caches/model_calls.ts";
import type { StepCache } from "../step_caches/step_cache.ts";

/** Settings that all steps of a loop have in common. */
interface FluxLoop {
  /** Sides of the latents. */
  readonly size: readonly [h: number, w: number];
  /** All that the loop visits. */
  readonly timesteps: readonly number[];
  /** For models that were taught it. */
  readonly guidanceScale: number;
  /** Joined to the channels of each token: what a model for Fill or Control sees besides latents. [R, L, W] */
  readonly beside?: Tensor | undefined;
  /** Tokens of a picture that the prompt is about, which stand behind the latents' own. [R, M, 4 C] */
  readonly behind?: Tensor | undefined;
  /** Their positions. [M, 3] */
  readonly behindIds?: Positions | undefined;
  /** ControlNets that add to the transformer. */
  readonly control?: FluxControl | undefined;
  /** Leaves steps out. */
  readonly cache?: StepCache | undefined;
  /** Blocks that the worse model of skip layer guidance is without. */
  readonly skipLayers?: readonly string[] | undefined;
}

/** Arguments of a call of the transformer. */
type FluxCallArgs = [tokens: Tensor, options: FluxTransformer2DOptions];

/** The transformer's inputs besides latents, for one batch of prompts. */
interface Batch {
  readonly encoderHiddenStates: Tensor;
  readonly imgIds: Positions;
  readonly txtIds: Positions;
  readonly modulation: FluxModulation;
  readonly pooled: Tensor;
}

/** The transformer as a loop calls it. Modulations by time and prompts are computed for all steps at once. */
export class FluxDenoiser implements Disposable {
  /** The velocity at a timestep, by one call for each batch of prompts. [B, L, 4 C] → [B, L, 4 C] */
  readonly model: ModelCalls<FluxCallArgs>;
  /** The same of the last batch, by the transformer without some blocks. */
  readonly weakModel: ModelCalls<FluxCallArgs> | undefined;
  readonly #timesteps: readonly number[];
  readonly #guidanceScale: number;
  readonly #control: FluxControl | undefined;
  #isMeasured = false;
  readonly #batches: readonly Batch[];
  readonly #embeddings: readonly PooledTextEmbeddings[];
  readonly #beside: Tensor | undefined;
  readonly #behind: Tensor | undefined;

  /** Takes over the embeddings. The weights that `condition` reads must be in memory. */
  constructor(
    transformer: FluxTransformer2DModel,
    embeddings: readonly PooledTextEmbeddings[],
    { size, timesteps, guidanceScale, beside, behind, behindIds = [], cache, skipLayers, control }: FluxLoop,
  ) {
    const imgIds = [...imageIds(size), ...behindIds];
    const guidance = transformer.config.guidance_embeds ? guidanceScale : undefined;
    const times = timesteps.map((t) => t / 1000);
    const caching = cachingOf(cache, timesteps);
    this.model = new ModelCalls(transformer, this.#callsOf, caching);
    const weakCall = (x: Tensor, t: number, step: number) => {
      const samples = this.#samplesOf(x, t, step);
      return [this.#callOf(x, step, this.#batches.at(-1)!, samples, skipLayers)];
    };
    this.weakModel = skipLayers && new ModelCalls(transformer, weakCall, caching);
    this.#timesteps = timesteps;
    this.#guidanceScale = guidanceScale;
    this.#control = control;
    this.#embeddings = embeddings;
    this.#beside = beside;
    this.#behind = behind;
    this.#batches = embeddings.map(({ states, pooled }) => ({
      encoderHiddenStates: states,
      imgIds,
      txtIds: textIds(states.shape[1]!),
      pooled,
      modulation: transformer.condition(times, { pooledProjections: pooled, guidance }),
    }));
  }

  #callsOf = (input: Tensor, t: number, step: number): ModelCall<FluxCallArgs>[] => {
    const inputs = input.chunk(this.#batches.length);
    const samples = this.#samplesOf(inputs.at(-1)!, t, step);
    return this.#batches.map((batch, i) => this.#callOf(inputs[i]!, step, batch, samples));
  };

  /** Makes the sums of the ControlNets in a step: they see the prompt, and not the negative one. */
  #samplesOf(hiddenStates: Tensor, t: number, step: number): (() => FluxControlSamples) | undefined {
    const control = this.#control;
    if (!control) return undefined;
    const { pooled, modulation: _, ...batch } = this.#batches.at(-1)!;
    const input = {
      ...{ ...batch, hiddenStates, pooledProjections: pooled, timestep: t / 1000, step },
      guidance: this.#guidanceScale,
    };
    let samples: FluxControlSamples | undefined;
    return () => samples ??= control.samples(input, this.#isMeasured);
  }

  /** The calls of the first step, with all that a cache may make, for `Model.measure` and `reserve`. */
  rehearse(start: Tensor, guided: boolean): void {
    this.#isMeasured = true;
    const [t] = this.#timesteps as [number];
    try {
      this.model.rehearse(guided ? cat([start, start]) : start, t, 0);
      this.weakModel?.rehearse(start, t, 0);
    } finally {
      this.#isMeasured = false;
    }
  }

  #callOf(
    x: Tensor,
    step: number,
    { modulation, pooled: _, ...batch }: Batch,
    samples: (() => FluxControlSamples) | undefined,
    skipLayers?: readonly string[],
  ): ModelCall<FluxCallArgs> {
    const args = (added?: FluxControlSamples): FluxCallArgs => [
      this.#seen(x),
      { ...batch, ...added, modulation: modulation.at(step), skipLayers },
    ];
    return {
      x,
      args: () => args(samples?.()),
      frontArgs: samples && (() => args()), // they add behind the first block
      cut: this.#behind && ((output) => output.slice(1, 0, x.shape[1]!)),
    };
  }

  /** Latents with all else that the model sees. [R, L, 4 C] → [R, L + M, 4 C + W] */
  #seen(latents: Tensor): Tensor {
    const tokens = this.#beside ? cat([latents, this.#beside], 2) : latents;
    return this.#behind ? cat([tokens, this.#behind], 1) : tokens;
  }

  /** Gives the memory back. */
  [Symbol.dispose](): void {
    this.model[Symbol.dispose]();
    this.weakModel?.[Symbol.dispose]();
    for (const { modulation } of this.#batches) modulation[Symbol.dispose]();
    for (const { states, pooled } of this.#embeddings) free(states, pooled);
  }
}
