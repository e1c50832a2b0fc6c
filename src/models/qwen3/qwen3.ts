import { expectOptions } from "../../core/error.ts";
import type { ConfigSchema } from "../../io/config.ts";
import type { Library } from "../../io/hub/needed_files.ts";
import type { Projection } from "../../nn/layers.ts";
import { named, type Tensor, zeros } from "../../tensor/mod.ts";
import { Model, type TapOptions, type Taps } from "../runtime/model.ts";
import type { Tensors } from "../runtime/traces.ts";
import { isSliding, type Qwen3Config, qwen3Config } from "./config.ts";
import { type Qwen3DecoderLayer, qwen3DecoderLayer, qwen3Norm } from "./decoder_layer.ts";
import { positionsOf, type Qwen3Inputs, qwen3Inputs, statesOf } from "./inputs.ts";

/** Weights of a Qwen3 model, but for the table of tokens. */
export interface Qwen3Weights {
  layers: Qwen3DecoderLayer[];
  norm: Projection;
}

/** Options of `Qwen3Model.forward`. */
export interface Qwen3Options {
  /** 1 for tokens that count, 0 for those that fill rows up [B, N]; by default all count. */
  attentionMask?: readonly (readonly number[])[] | undefined;
  /**
   * The states that are wanted: 0 are the embeddings, k the states behind layer k, the last one behind the norm;
   * negative numbers count from the end. By default those of `limitTo`, else the last, transformers' last_hidden_state.
   * Layers behind the last of them do not run.
   */
  hiddenStates?: readonly number[] | undefined;
}

/** A Qwen3 model's results. */
export interface Qwen3Output {
  /** The states that were asked for, in that order. [B, N, D] */
  hiddenStates: Tensor[];
}

/** Hidden states of texts, by their numbers from 0; see `Qwen3Options`. */
export function qwen3(
  { tokens, cos, sin, mask, slidingMask }: Qwen3Inputs,
  w: Qwen3Weights,
  config: Qwen3Config,
  wanted: readonly number[],
): Tensor[] {
  const { num_attention_heads: heads, num_hidden_layers: layers, rms_norm_eps: eps } = config;
  const options = {
    heads,
    keyHeads: config.num_key_value_heads ?? heads,
    headDim: config.head_dim,
    intermediate: config.intermediate_size,
    act: config.hidden_act,
    eps,
    bias: config.attention_bias,
    cos,
    sin,
  };
  const states = [tokens];
  for (let i = 0; i < Math.max(...wanted); i++) {
    const x = states[i]!;
    const layer = w.layers[i]!;
    const dtype = layer.input_layernorm.weight.dtype; // the model's: matrices may be stored smaller, norms never are
    const seen = isSliding(config, i) && slidingMask ? slidingMask : mask;
    const run = () => qwen3DecoderLayer(x, layer, { ...options, dtype, mask: seen });
    states.push(named(`layers.${i}`, run, [x]));
  }
  if (wanted.includes(layers)) {
    const last = states.pop()!;
    states.push(named("norm", () => qwen3Norm(last, w.norm, eps), [last]));
  }
  return wanted.map((k) => states[k]!);
}

/**
 * Qwen3 as a text encoder, that of FLUX.2 klein and Z-Image: transformers' Qwen3Model, or Qwen3ForCausalLM without its
 * head.
 */
export class Qwen3Model extends Model<Qwen3Config> {
  /** Checks a config.json and fills in its defaults. */
  static readonly schema: ConfigSchema<Qwen3Config> = qwen3Config;
  /** Its folder in a pipeline. */
  static readonly folder: string = "text_encoder";
  /** The library whose names its files have. */
  static readonly library: Library = "transformers";
  /** The model_type of its configs. */
  static readonly modelTypes: readonly string[] = ["qwen3"];
  /** The keys of the rest of a Qwen3ForCausalLM. */
  static readonly others: RegExp = /^lm_head\./;
  /** Files of a Qwen3ForCausalLM have it in front of their keys. */
  static readonly prefix: string = "model.";

  readonly #table = this.weights.table("embed_tokens.weight", [
    this.config.vocab_size,
    this.config.hidden_size,
  ]);
  /** Numbers of the states that `limitTo` was given. */
  #states: readonly number[] | undefined;
  /** Number of the last state that the layers which are loaded can give. */
  #deepest: number = this.config.num_hidden_layers;
  /** Ends when all that was given to `inTurn` so far has. */
  #turn: Promise<void> = Promise.resolve();

  /** States of texts, given as rows of ids [B, N]. */
  forward<const Path extends string = never>(
    inputIds: readonly (readonly number[])[],
    options: Qwen3Options & TapOptions<Path> = {},
  ): Qwen3Output & { taps: Taps<Path> } {
    expectOptions("encode texts", options, ["attentionMask", "hiddenStates", "taps"]);
    const { attentionMask, hiddenStates, taps } = options;
    const wanted = this.#within(
      hiddenStates ? statesOf(hiddenStates, this.config) : this.#states ?? [this.config.num_hidden_layers],
    );
    this.expectLoaded(); // the table's rows are wanted before anything is traced
    const inputs = qwen3Inputs(inputIds, attentionMask, this.#table, this.config);
    const run = this.tapped(`forward ${wanted.join(" ")}`, inputs, this.#run(wanted), taps);
    return { hiddenStates: Object.values(run.results), taps: run.taps };
  }

  /**
   * Takes these hidden states for those that are usually wanted, e.g. 9, 18 and 27 of FLUX.2 klein's 36, and loads only the
   * layers that they need. Layers that are loaded or that somebody acquired stay, as others may read their states; where
   * more are needed, the weights are unloaded until the next load.
   */
  limitTo(hiddenStates: readonly number[]): void {
    this.#states = statesOf(hiddenStates, this.config);
    this.#reach(this.#states);
  }

  /**
   * Does work that loads the model and runs it for these hidden states, once other such work is done: what several runs of
   * pipelines want of one model, side by side, is then there for each. What `limitTo` was given can be had as before.
   */
  async inTurn<T>(hiddenStates: readonly number[], work: () => Promise<T>): Promise<T> {
    const states = [...statesOf(hiddenStates, this.config), ...this.#states ?? []];
    const turn = this.#turn.then(() => {
      this.#reach(states);
      return work();
    });
    this.#turn = turn.then(() => {}, () => {});
    return await turn;
  }

  /** Traces one text of the length that pipelines use. */
  prepare(): void {
    const N = 512;
    const inputs = { tokens: zeros([1, N, this.config.hidden_size]), ...positionsOf(N, this.config) };
    this.dryRun("forward", inputs, this.#run([...new Set([...this.#states ?? [], this.#deepest])]));
  }

  /** Lets some states be had from the next load on: no more where nothing is loaded, else also those that can be had now. */
  #reach(states: readonly number[]): void {
    const deepest = Math.max(...states, this.loaded || this.needed ? this.#deepest : 0);
    if (deepest === this.#deepest) return;
    this.#deepest = deepest;
    this.unload();
    this.weights.forgetReads();
    this.prepare();
  }

  #run = (wanted: readonly number[]) => (inputs: Tensors): Tensors => {
    const states = qwen3(inputs as Qwen3Inputs, this.weights.tree as Qwen3Weights, this.config, wanted);
    return Object.fromEntries(states.map((state, i) => [`hiddenStates.${i}`, state]));
  };

  /** Throws where states need layers that are not loaded. */
  #within(wanted: readonly number[]): readonly number[] {
    const beyond = wanted.find((k) => k > this.#deepest);
    if (beyond === undefined) return wanted;
    throw new RangeError(
      `Cannot give hidden state ${beyond}: expected at most ${this.#deepest}, to which the model is limited; ` +
        "call its limitTo() with all that are wanted",
    );
  }
}
