import { expectOptions } from "../../core/error.ts";
import type { ConfigSchema } from "../../io/config.ts";
import { dense, type Layer } from "../../nn/layers.ts";
import { silu } from "../../ops/mod.ts";
import { named, type Tensor, zeros } from "../../tensor/mod.ts";
import { expectInput } from "../inputs.ts";
import { Model, type TapOptions, type Taps } from "../runtime/model.ts";
import type { Tensors } from "../runtime/traces.ts";
import { type ReduxImageEncoderConfig, reduxImageEncoderConfig } from "./config.ts";

/** Weights of a ReduxImageEncoder. */
export interface ReduxImageEncoderWeights {
  redux_up: Layer;
  redux_down: Layer;
}

const USUAL_TOKENS = 729; // of a picture of 384 pixels, in patches of 14

/** Makes tokens of a picture tokens of a prompt, for FLUX.1 Redux (Black Forest Labs, 2024); diffusers' ReduxImageEncoder. */
export class ReduxImageEncoder extends Model<ReduxImageEncoderConfig> {
  /** Checks a config.json and fills in its defaults. */
  static readonly schema: ConfigSchema<ReduxImageEncoderConfig> = reduxImageEncoderConfig;
  /** Its folder in a pipeline. */
  static readonly folder: string = "image_embedder";

  /** Tokens as T5 makes them, of those of a vision model [B, N, redux_dim] → [B, N, txt_in_features] */
  forward<const Path extends string = never>(
    x: Tensor,
    options: TapOptions<Path> = {},
  ): { imageEmbeds: Tensor; taps: Taps<Path> } {
    expectOptions("embed a picture", options, ["taps"]);
    expectInput("embed a picture", x, ["B", "N", this.config.redux_dim]);
    const { results, taps } = this.tapped("forward", { x }, this.#run, options.taps);
    return { ...results, taps };
  }

  /** Traces one picture. */
  prepare(): void {
    this.dryRun("forward", { x: zeros([1, USUAL_TOKENS, this.config.redux_dim]) }, this.#run);
  }

  #run = ({ x }: Tensors): { imageEmbeds: Tensor } => {
    const { redux_up, redux_down } = this.weights.tree as ReduxImageEncoderWeights;
    const { txt_in_features: D } = this.config;
    const seen = x!.cast(redux_up.bias.dtype);
    const hidden = silu(named("redux_up", () => dense(seen, redux_up, 3 * D), [seen]));
    return { imageEmbeds: named("redux_down", () => dense(hidden, redux_down, D), [hidden]) };
  };
}
