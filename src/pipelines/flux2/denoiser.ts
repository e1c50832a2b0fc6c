import type { Flux2Transformer2DModel, Flux2Transformer2DOptions, Positions } from "../../models/mod.ts";
import { flux2ImageIds, flux2TextIds } from "../../models/flux2_transformer_2d/positions.ts";
import { cat, free, scope, type Tensor } from "../../tensor/mod.ts";
import { type Caching, type ModelCall, ModelCalls } from "../step_caches/model_calls.ts";
import type { References } from "./references.ts";

/** Embeddings of the prompts, and under guidance of the negative ones. [B, N, D] each */
export interface Flux2Embeddings {
  readonly cond: Tensor;
  readonly uncond?: Tensor | undefined;
}

/** Values that all steps of a loop have in common. */
interface Flux2Loop {
  /** Tokens on the sides of the picture. */
  readonly size: readonly [h: number, w: number];
  /** For models that were taught it. */
  readonly guidanceScale: number;
  readonly references?: References | undefined;
  readonly caching?: Caching | undefined;
  /** Blocks that the worse model of skip layer guidance is without. */
  readonly skipLayers?: readonly string[] | undefined;
}

/** Arguments of a call of the transformer. */
type Flux2CallArgs = [tokens: Tensor, options: Flux2Transformer2DOptions];

/** The transformer as a loop calls it. */
export class Flux2Denoiser implements Disposable {
  /** The velocity at a timestep, of both halves under guidance. [R, L, 4 C] → [R, L, 4 C] */
  readonly model: ModelCalls<Flux2CallArgs>;
  /** The same for the prompts alone. [B, L, 4 C] → [B, L, 4 C] */
  readonly condModel: ModelCalls<Flux2CallArgs>;
  /** The same by the transformer without some blocks. */
  readonly weakModel: ModelCalls<Flux2CallArgs> | undefined;
  /** Embeddings of each run of the model: of both halves in one, unless they are of different lengths. */
  readonly #both: readonly Tensor[];
  readonly #cond: Tensor;
  readonly #imgIds: Positions;
  readonly #references: Tensor | undefined;
  readonly #guidance: number | undefined;

  /** Takes over the embeddings and references. */
  constructor(
    transformer: Flux2Transformer2DModel,
    { cond, uncond }: Flux2Embeddings,
    { size, guidanceScale, references, caching, skipLayers }: Flux2Loop,
  ) {
    using made = scope(cond, ...(uncond ? [uncond] : []));
    const isOneBatch = uncond !== undefined && uncond.shape[1] === cond.shape[1] && !caching; // halves have own caches
    const both = !uncond ? [cond] : isOneBatch ? [cat([uncond, cond])] : [uncond, cond];
    this.#both = both.map((states) => made.keep(states));
    this.#cond = isOneBatch ? both[0]!.chunk(2)[1] : cond; // a view
    this.#imgIds = [...flux2ImageIds(size), ...references?.ids ?? []];
    this.#references = references?.tokens;
    this.#guidance = transformer.config.guidance_embeds ? guidanceScale : undefined;
    const calls = (input: Tensor, t: number) => {
      const inputs = input.chunk(this.#both.length);
      return this.#both.map((states, i) => this.#call(inputs[i]!, t, states));
    };
    this.model = new ModelCalls(transformer, calls, caching);
    const calling = (skipLayers?: readonly string[]) =>
      new ModelCalls(transformer, (input, t) => [this.#call(input, t, this.#cond, skipLayers)], caching);
    this.condModel = calling();
    this.weakModel = skipLayers && calling(skipLayers);
  }

  #call(
    x: Tensor,
    t: number,
    encoderHiddenStates: Tensor,
    skipLayers?: readonly string[],
  ): ModelCall<Flux2CallArgs> {
    const [rows, L] = x.shape as [number, number];
    const references = this.#references;
    const tokens = () =>
      references ? cat([x, references.expand([rows, ...references.shape.slice(1)])], 1) : x;
    const options = {
      encoderHiddenStates,
      imgIds: this.#imgIds,
      txtIds: flux2TextIds(encoderHiddenStates.shape[1]!),
      timestep: t / 1000,
      guidance: this.#guidance,
      skipLayers,
    };
    return { x, args: () => [tokens(), options], cut: references && ((sample) => sample.slice(1, 0, L)) };
  }

  /** Gives the memory back. */
  [Symbol.dispose](): void {
    this.model[Symbol.dispose]();
    this.condModel[Symbol.dispose]();
    this.weakModel?.[Symbol.dispose]();
    free(...this.#both, this.#references);
  }
}
