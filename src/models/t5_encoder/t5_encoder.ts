import { expectOptions } from "../../core/error.ts";
import type { ConfigSchema } from "../../io/config.ts";
import type { Projection } from "../../nn/layers.ts";
import { positionBias, type T5Attention, type T5Block, t5Block, t5Norm } from "./block.ts";
import { named, type Tensor, zeros } from "../../tensor/mod.ts";
import type { Library } from "../../io/hub/needed_files.ts";
import { Model, type TapOptions, type Taps } from "../runtime/model.ts";
import type { Tensors } from "../runtime/traces.ts";
import { feedForwardOf, type T5EncoderConfig, t5EncoderConfig } from "./config.ts";
import { bucketsOf, type T5EncoderInputs, t5EncoderInputs } from "./inputs.ts";

/** Weights of a T5 encoder, but for the table of tokens. */
export interface T5EncoderWeights {
  encoder: { block: T5Block[]; final_layer_norm: Projection };
}

/** Options of `T5EncoderModel.forward`. */
export interface T5EncoderOptions {
  /** 1 for tokens that count, 0 for those that fill rows up [B, N]; by default all count, as in Flux. */
  attentionMask?: readonly (readonly number[])[] | undefined;
  /** Also gives the state of the tokens behind every block. */
  outputHiddenStates?: boolean | undefined;
}

/** A T5 encoder's results. */
export interface T5EncoderOutput {
  /** Every token's state behind the last block and its norm. [B, N, D] */
  lastHiddenState: Tensor;
  /**
   * The embeddings, then the states behind each block, the last one behind the norm; on request. [B, N, D]
   */
  hiddenStates?: Tensor[] | undefined;
}

/** The states of texts behind each block of T5's encoder (Raffel et al. 2020), the last one behind its norm. */
export function t5Encoder(
  { tokens, buckets, mask }: T5EncoderInputs,
  w: T5EncoderWeights,
  config: T5EncoderConfig,
): Tensor[] {
  const { block, final_layer_norm } = w.encoder;
  const { num_heads: heads, layer_norm_epsilon: eps, relative_attention_num_buckets } = config;
  const table = (block[0]!.layer[0].SelfAttention as T5Attention & { relative_attention_bias: Projection })
    .relative_attention_bias; // of all blocks
  const learned = () => positionBias(buckets, table, { buckets: relative_attention_num_buckets, heads });
  let bias = named("relative_attention_bias", learned);
  if (mask) bias = bias.add(mask);
  const options = {
    heads,
    headWidth: config.d_kv,
    hidden: config.d_ff,
    ...feedForwardOf(config),
    eps,
    dtype: final_layer_norm.weight.dtype, // the model's: matrices may be stored smaller, norms never are
  };
  const states = [tokens];
  for (let i = 0; i < config.num_layers; i++) {
    const x = states[i]!;
    states.push(named(`encoder.block.${i}`, () => t5Block(x, block[i]!, bias, options), [x]));
  }
  const last = states.pop()!;
  states.push(named("encoder.final_layer_norm", () => t5Norm(last, final_layer_norm, eps), [last]));
  return states;
}

/** T5's encoder, a text encoder of FLUX and Stable Diffusion 3; transformers' T5EncoderModel. */
export class T5EncoderModel extends Model<T5EncoderConfig> {
  /** Checks a config.json and fills in its defaults. */
  static readonly schema: ConfigSchema<T5EncoderConfig> = t5EncoderConfig;
  /** Its folder in a pipeline. */
  static readonly folder: string = "text_encoder_2";
  /** The library whose names its files have. */
  static readonly library: Library = "transformers";
  /** The model_type of its configs, which is that of a whole T5. */
  static readonly modelTypes: readonly string[] = ["t5"];
  /** The keys of the rest of a whole T5. */
  static readonly others: RegExp = /^(decoder|lm_head)\./;

  readonly #table = this.weights.table(["shared.weight", "encoder.embed_tokens.weight"], [
    this.config.vocab_size,
    this.config.d_model,
  ]);

  /** The states of texts, given as rows of ids [B, N]. */
  forward<const Path extends string = never>(
    inputIds: readonly (readonly number[])[],
    options: T5EncoderOptions & TapOptions<Path> = {},
  ): T5EncoderOutput & { taps: Taps<Path> } {
    expectOptions("encode texts", options, ["attentionMask", "outputHiddenStates", "taps"]);
    const { attentionMask, outputHiddenStates = false, taps } = options;
    this.expectLoaded(); // the table's rows are wanted before anything is traced
    const inputs = t5EncoderInputs(inputIds, attentionMask, this.#table, this.config);
    if (!outputHiddenStates) {
      const run = this.tapped("forward", inputs, this.#last, taps);
      return { lastHiddenState: run.results.y, taps: run.taps };
    }
    const run = this.tapped("states", inputs, this.#states, taps);
    const hiddenStates = Object.values(run.results);
    return { lastHiddenState: hiddenStates.at(-1)!, hiddenStates, taps: run.taps };
  }

  /** Traces one text of the length that Flux uses. */
  prepare(): void {
    const N = 512;
    const inputs = { tokens: zeros([1, N, this.config.d_model]), buckets: bucketsOf(N, this.config) };
    this.dryRun("forward", inputs, this.#last);
  }

  #run(inputs: Tensors): Tensor[] {
    return t5Encoder(inputs as T5EncoderInputs, this.weights.tree as T5EncoderWeights, this.config);
  }

  #last = (inputs: Tensors): { y: Tensor } => ({ y: this.#run(inputs).at(-1)! });

  #states = (inputs: Tensors): Tensors =>
    Object.fromEntries(this.#run(inputs).map((state, i) => [`hiddenStates.${i}`, state]));
}
