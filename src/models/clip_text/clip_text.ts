import { expectOptions } from "../../core/error.ts";
import type { Shape } from "../../core/shape.ts";
import type { ConfigSchema } from "../../io/config.ts";
import { type CLIPEncoderLayer, clipEncoderLayer } from "./encoder_layer.ts";
import { expectShape, type Layer, layerNorm, project, type Projection } from "../../nn/layers.ts";
import { gather } from "../../ops/mod.ts";
import { named, type Tensor, tensor, zeros } from "../../tensor/mod.ts";
import { type CLIPTextConfig, clipTextConfig } from "./config.ts";
import { type CLIPTextInputs, clipTextInputs } from "./inputs.ts";
import type { Library } from "../../io/hub/needed_files.ts";
import { Model, type TapOptions, type Taps } from "../runtime/model.ts";
import type { Tensors } from "../runtime/traces.ts";

/** Weights of a CLIP text model, but for the table of tokens. */
export interface CLIPTextWeights {
  embeddings: { position_embedding: { weight: Tensor } };
  encoder: { layers: CLIPEncoderLayer[] };
  final_layer_norm: Layer;
  text_projection?: Projection | undefined;
}

/** Options of a CLIP text model's `forward`. */
export interface CLIPTextOptions<Path extends string> extends TapOptions<Path> {
  /** 1 for tokens that others see, 0 for those that none sees. [B, N] */
  attentionMask?: readonly (readonly number[])[] | undefined;
}

/** A CLIP text model's results. */
export interface CLIPTextOutput {
  /** Every token's state behind the last layer and its norm. [B, N, D] */
  lastHiddenState: Tensor;
  /** The state of each text's last token. [B, D] */
  pooledOutput: Tensor;
  /** The embeddings, then the states behind each layer, without the norm at the end. [B, N, D] */
  hiddenStates: Tensor[];
}

/** The results of a CLIP text model with a projection. */
export interface CLIPTextProjectionOutput extends CLIPTextOutput {
  /** `pooledOutput` in the space that texts and pictures share. [B, projection_dim] */
  textEmbeds: Tensor;
}

/** The states of texts behind each layer of CLIP's text transformer (Radford et al. 2021). */
export function clipText(
  { tokens, pooled, mask }: CLIPTextInputs,
  w: CLIPTextWeights,
  config: CLIPTextConfig,
): Tensors {
  const { hidden_size: D, layer_norm_eps: eps } = config;
  const [B, N] = tokens.shape as Shape<2>;
  const { weight: positions } = w.embeddings.position_embedding;
  expectShape(positions, [config.max_position_embeddings, D]);

  const dtype = w.final_layer_norm.bias.dtype; // the model's: matrices may be stored smaller, biases never are
  const states = [named("embeddings", () => tokens.add(positions.slice(0, 0, N)).cast(dtype), [tokens])];
  const options = {
    heads: config.num_attention_heads,
    intermediate: config.intermediate_size,
    act: config.hidden_act,
    eps,
    causal: true,
    mask,
  };
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const x = states[i]!;
    const layer = () => clipEncoderLayer(x, w.encoder.layers[i]!, options);
    states.push(named(`encoder.layers.${i}`, layer, [x]));
  }
  const last = states.at(-1)!;
  const normed = named("final_layer_norm", () => layerNorm(last, w.final_layer_norm, eps), [last]);
  return {
    lastHiddenState: normed,
    pooledOutput: gather(normed.reshape([B * N, D]), pooled),
    ...Object.fromEntries(states.map((state, i) => [`hiddenStates.${i}`, state])),
  };
}

/** CLIP's text transformer, the text encoder of Stable Diffusion; transformers' CLIPTextModel. */
export class CLIPTextModel extends Model<CLIPTextConfig> {
  /** Checks a config.json and fills in its defaults. */
  static readonly schema: ConfigSchema<CLIPTextConfig> = clipTextConfig;
  /** Its folder in a pipeline. */
  static readonly folder: string = "text_encoder";
  /** The library whose names its files have. */
  static readonly library: Library = "transformers";
  /** The model_type of its configs, and of those of a whole CLIP. */
  static readonly modelTypes: readonly string[] = ["clip_text_model", "clip"];
  /** The key of its config in that of a whole CLIP. */
  static readonly configKey: string = "text_config";
  /** The keys of the rest of a whole CLIP. */
  static readonly others: RegExp = /^(vision_model\.|visual_projection\.|logit_scale$)/;
  /** Files on the hub have it in front of their keys; those of transformers 5 do not. */
  static readonly prefix: string = "text_model.";

  readonly #table = this.weights.table("embeddings.token_embedding.weight", [
    this.config.vocab_size,
    this.config.hidden_size,
  ]);

  /** The states of texts, given as rows of ids [B, N]. */
  forward<const Path extends string = never>(
    inputIds: readonly (readonly number[])[],
    options: CLIPTextOptions<Path> = {},
  ): CLIPTextOutput & { taps: Taps<Path> } {
    const { results, taps } = this.encode(inputIds, options);
    return { ...collect(results), taps };
  }

  /** The norm behind the last layer applied to an earlier hidden state, for clip skip. [B, N, D] → [B, N, D] */
  finalLayerNorm(hiddenState: Tensor): Tensor {
    return this.traced("finalLayerNorm", { x: hiddenState }, ({ x }) => {
      const { final_layer_norm } = this.weights.tree as CLIPTextWeights;
      const state = x!.cast(final_layer_norm.bias.dtype);
      return { y: layerNorm(state, final_layer_norm, this.config.layer_norm_eps) };
    }).y;
  }

  /** Gives a token that was added to the tokenizer its embedding, e.g. one of a textual inversion [D]. */
  addToken(id: number, embedding: Float32Array): void {
    const { vocab_size, hidden_size } = this.config;
    if (embedding.length !== hidden_size) {
      throw new RangeError(
        `Cannot add token ${id}: expected an embedding of ${hidden_size} numbers, got ${embedding.length}; ` +
          "it is for another text encoder",
      );
    }
    if (!(Number.isSafeInteger(id) && id >= vocab_size)) {
      throw new RangeError(`Cannot add token ${id}: expected a whole number from ${vocab_size}`);
    }
    this.#table.added.set(id, embedding);
  }

  /** Forgets an embedding that `addToken` gave. */
  removeToken(id: number): void {
    this.#table.added.delete(id);
  }

  /** Traces one text of the greatest length. */
  prepare(): void {
    const { max_position_embeddings: N, hidden_size } = this.config;
    const inputs = { tokens: zeros([1, N, hidden_size]), pooled: tensor([0], [1], { dtype: "i32" }) };
    this.dryRun("forward", inputs, this.#run);
  }

  /** All results by name. */
  protected encode<Path extends string>(
    inputIds: readonly (readonly number[])[],
    options: CLIPTextOptions<Path>,
  ): { results: Tensors; taps: Taps<Path> } {
    expectOptions(
      "encode texts",
      options,
      ["attentionMask", "taps"],
      (name) => name === "outputHiddenStates" ? "all hiddenStates are given anyway" : undefined,
    );
    this.expectLoaded(); // the table's rows are wanted before anything is traced
    const inputs = clipTextInputs(inputIds, options.attentionMask, this.#table, this.config);
    return this.tapped("forward", inputs, this.#run, options.taps);
  }

  /** The function that is traced. */
  protected results(inputs: Tensors): Tensors {
    return clipText(inputs as CLIPTextInputs, this.weights.tree as CLIPTextWeights, this.config);
  }

  #run = (inputs: Tensors): Tensors => this.results(inputs);
}

/** CLIP's text transformer with its projection, the second text encoder of SDXL. */
export class CLIPTextModelWithProjection extends CLIPTextModel {
  /** Its folder in a pipeline. */
  static override readonly folder: string = "text_encoder_2";

  /** The states and embeddings of texts, given as rows of ids [B, N]. */
  override forward<const Path extends string = never>(
    inputIds: readonly (readonly number[])[],
    options: CLIPTextOptions<Path> = {},
  ): CLIPTextProjectionOutput & { taps: Taps<Path> } {
    const { results, taps } = this.encode(inputIds, options);
    return { ...collect(results), textEmbeds: results["textEmbeds"]!, taps };
  }

  /** The function that is traced. */
  protected override results(inputs: Tensors): Tensors {
    const results = super.results(inputs);
    const w = this.weights.tree as CLIPTextWeights;
    const pooled = results["pooledOutput"]!;
    const projected = () => project(pooled, w.text_projection!, this.config.projection_dim);
    return { ...results, textEmbeds: named("text_projection", projected, [pooled]) };
  }
}

function collect({ lastHiddenState, pooledOutput, ...others }: Tensors): CLIPTextOutput {
  const states = Object.entries(others).filter(([name]) => name.startsWith("hiddenStates."));
  return {
    lastHiddenState: lastHiddenState!,
    pooledOutput: pooledOutput!,
    hiddenStates: states.map(([, state]) => state),
  };
}
