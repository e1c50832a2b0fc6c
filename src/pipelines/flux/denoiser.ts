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
  readonly #timesteps: readonly number[];
  readonly #batches: readonly Batch[];
  readonly #embeddings: readonly PooledTextEmbeddings[];
  readonly #beside: Tensor | undefined;
  readonly #behind: Tensor | undefined;

  /** Takes over the embeddings. The weights that `condition` reads must be in memory. */
  constructor(
    transformer: FluxTransformer2DModel,
    embeddings: readonly PooledTextEmbeddings[],
    { size, timesteps, guidanceScale, beside, behind, behindIds = [], cache }: FluxLoop,
  ) {
    const imgIds = [...imageIds(size), ...behindIds];
    const guidance = transformer.config.guidance_embeds ? guidanceScale : undefined;
    const times = timesteps.map((t) => t / 1000);
    this.model = new ModelCalls(transformer, this.#callsOf, cachingOf(cache, timesteps));
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
    const step = this.#timesteps.indexOf(t);
    const inputs = input.chunk(this.#batches.length);
    const L = input.shape[1]!;
    return this.#batches.map(({ modulation, ...batch }, i) => ({
      x: inputs[i]!,
      args: () => [this.#seen(inputs[i]!), { ...batch, modulation: modulation.at(step) }],
      cut: this.#behind && ((output) => output.slice(1, 0, L)),
    }));
  };

  /** Latents with all else that the model sees. [R, L, 4 C] → [R, L + M, 4 C + W] */
  #seen(latents: Tensor): Tensor {
    const tokens = this.#beside ? cat([latents, this.#beside], 2) : latents;
    return this.#behind ? cat([tokens, this.#behind], 1) : tokens;
  }

  /** Gives the memory back. */
  [Symbol.dispose](): void {
    this.model[Symbol.dispose]();
    for (const { modulation } of this.#batches) modulation[Symbol.dispose]();
    for (const { states, pooled } of this.#embeddings) free(states, pooled);
  }
}
