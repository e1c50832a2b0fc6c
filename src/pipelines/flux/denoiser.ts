import type {
  FluxModulation,
  FluxTransformer2DModel,
  FluxTransformer2DOptions,
  Positions,
} from "../../models/mod.ts";
import { cat, free, type Tensor } from "../../tensor/mod.ts";
import { imageIds, textIds } from "../../models/flux_transformer_2d/pos_embed.ts";
import type { PooledTextEmbeddings } from "../prompts.ts";
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
}

/** The transformer as a loop calls it. Modulations by time and prompts are computed for all steps at once. */
export class FluxDenoiser implements Disposable {
  /** The velocity at a timestep, by one call for each batch of prompts. [B, L, 4 C] → [B, L, 4 C] */
  readonly model: ModelCalls<FluxCallArgs>;
  /** The same of the last batch, by the transformer without some blocks. */
  readonly weakModel: ModelCalls<FluxCallArgs> | undefined;
  readonly #timesteps: readonly number[];
  readonly #batches: readonly Batch[];
  readonly #embeddings: readonly PooledTextEmbeddings[];
  readonly #beside: Tensor | undefined;
  readonly #behind: Tensor | undefined;

  /** Takes over the embeddings. The weights that `condition` reads must be in memory. */
  constructor(
    transformer: FluxTransformer2DModel,
    embeddings: readonly PooledTextEmbeddings[],
    { size, timesteps, guidanceScale, beside, behind, behindIds = [], cache, skipLayers }: FluxLoop,
  ) {
    const imgIds = [...imageIds(size), ...behindIds];
    const guidance = transformer.config.guidance_embeds ? guidanceScale : undefined;
    const times = timesteps.map((t) => t / 1000);
    const caching = cachingOf(cache, timesteps);
    this.model = new ModelCalls(transformer, this.#callsOf, caching);
    const weakCall = (
      input: Tensor,
      t: number,
    ) => [this.#callOf(input, t, this.#batches.at(-1)!, skipLayers)];
    this.weakModel = skipLayers && new ModelCalls(transformer, weakCall, caching);
    this.#timesteps = timesteps;
    this.#embeddings = embeddings;
    this.#beside = beside;
    this.#behind = behind;
    this.#batches = embeddings.map(({ states, pooled }) => ({
      encoderHiddenStates: states,
      imgIds,
      txtIds: textIds(states.shape[1]!),
      modulation: transformer.condition(times, { pooledProjections: pooled, guidance }),
    }));
  }

  #callsOf = (input: Tensor, t: number): ModelCall<FluxCallArgs>[] => {
    const inputs = input.chunk(this.#batches.length);
    return this.#batches.map((batch, i) => this.#callOf(inputs[i]!, t, batch));
  };

  #callOf(
    x: Tensor,
    t: number,
    { modulation, ...batch }: Batch,
    skipLayers?: readonly string[],
  ): ModelCall<FluxCallArgs> {
    const step = this.#timesteps.indexOf(t);
    return {
      x,
      args: () => [this.#seen(x), { ...batch, modulation: modulation.at(step), skipLayers }],
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
