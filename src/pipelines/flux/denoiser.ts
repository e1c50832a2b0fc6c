import type { FluxModulation, FluxTransformer2DModel, Positions } from "../../models/mod.ts";
import { cat, free, type Tensor } from "../../tensor/mod.ts";
import { imageIds, textIds } from "../../models/flux_transformer_2d/pos_embed.ts";
import type { PooledTextEmbeddings } from "../prompts.ts";

/** Settings that all steps of a loop have in common. */
interface FluxLoop {
  /** Sides of the latents. */
  readonly size: readonly [h: number, w: number];
  /** All that the loop visits. */
  readonly timesteps: readonly number[];
  /** For models that were taught it. */
  readonly guidanceScale: number;
}

/** The transformer's inputs besides latents, for one batch of prompts. */
interface Batch {
  readonly encoderHiddenStates: Tensor;
  readonly imgIds: Positions;
  readonly txtIds: Positions;
  readonly modulation: FluxModulation;
}

/** The transformer as a loop calls it. Modulations by time and prompts are computed for all steps at once. */
export class FluxDenoiser implements Disposable {
  readonly #transformer: FluxTransformer2DModel;
  readonly #timesteps: readonly number[];
  readonly #batches: readonly Batch[];
  readonly #embeddings: readonly PooledTextEmbeddings[];

  /** Takes over the embeddings. The weights that `condition` reads must be in memory. */
  constructor(
    transformer: FluxTransformer2DModel,
    embeddings: readonly PooledTextEmbeddings[],
    { size, timesteps, guidanceScale }: FluxLoop,
  ) {
    const imgIds = imageIds(size);
    const guidance = transformer.config.guidance_embeds ? guidanceScale : undefined;
    const times = timesteps.map((t) => t / 1000);
    this.#transformer = transformer;
    this.#timesteps = timesteps;
    this.#embeddings = embeddings;
    this.#batches = embeddings.map(({ states, pooled }) => ({
      encoderHiddenStates: states,
      imgIds,
      txtIds: textIds(states.shape[1]!),
      modulation: transformer.condition(times, { pooledProjections: pooled, guidance }),
    }));
  }

  /**
   * The velocity at a timestep, by one run of the model for each batch of prompts. [B, L, 4 C] → [B, L, 4 C]
   */
  predict = (input: Tensor, t: number): Tensor => {
    const step = this.#timesteps.indexOf(t);
    const inputs = input.chunk(this.#batches.length);
    const outputs = this.#batches.map(({ modulation, ...batch }, i) =>
      this.#transformer.forward(inputs[i]!, { ...batch, modulation: modulation.at(step) }).sample
    );
    return cat(outputs);
  };

  /** Gives the memory back. */
  [Symbol.dispose](): void {
    for (const { modulation } of this.#batches) modulation[Symbol.dispose]();
    for (const { states, pooled } of this.#embeddings) free(states, pooled);
  }
}
