import type { z } from "zod";
import { type ConfigSchema, parseConfig, unknownKeys } from "../../io/config.ts";
import { quote } from "../../io/files/errors.ts";
import type { Library } from "../../io/hub/needed_files.ts";
import type { ModelSource } from "../../io/single_file/contents.ts";

/** A class of models, as far as its configs go. */
export interface ConfigOwner {
  readonly name: string;
  /** Checks a config.json and fills in its defaults; diffusers' have the class's name among their keys. */
  readonly schema: ConfigSchema<unknown>;
  /** Whose names its files of weights have; diffusers' by default. */
  readonly library?: Library | undefined;
  /** For transformers' models: the model_type of its configs, then of those of whole models that it is a part of. */
  readonly modelTypes?: readonly string[] | undefined;
  /** The key that holds it in the config of a whole model, e.g. "text_config". */
  readonly configKey?: string | undefined;
}

/** Checks the config of a model, and tells which of its keys are not known. */
export function readOwnConfig(
  type: ConfigOwner,
  { json, configPath }: ModelSource,
  onNotice: (line: string) => void,
): unknown {
  const own = ownConfig(type, json, configPath);
  const config = parseConfig(type.schema, own, configPath);
  const common = type.library === "transformers" ? TRANSFORMERS_KEYS : undefined;
  const unknown = unknownKeys(type.schema, own).filter((key) => !common?.has(key));
  if (unknown.length) onNotice(`${configPath}: ignoring unknown keys ${unknown.join(", ")}`);
  return config;
}

/**
 * The config of a class, where a file has one for a whole model the part that is for it, as in transformers. Throws
 * where the file is for another class.
 */
function ownConfig(
  type: ConfigOwner,
  json: Record<string, unknown>,
  configPath: string,
): Record<string, unknown> {
  if (json === null || typeof json !== "object" || Array.isArray(json)) {
    throw new TypeError(`Cannot load ${configPath}: expected a config as an object, got ${quote(json)}`);
  }
  const { _class_name, model_type, architectures } = json;
  const { name, schema, modelTypes = [], configKey } = type;
  const className = (schema.shape["_class_name"] as z.ZodOptional<z.ZodLiteral<string>> | undefined)?.unwrap()
    .value;
  const isOwn = className === undefined
    ? _class_name === undefined && (model_type === undefined || modelTypes.includes(String(model_type)))
    : _class_name === undefined
    ? model_type === undefined
    : _class_name === className;
  if (!isOwn) {
    const found = _class_name ?? [architectures].flat()[0] ?? model_type;
    throw new TypeError(
      `Cannot load ${name}: expected its config in ${configPath}, got that of ${quote(found)}; ` +
        "it is another model: name its class, or another subfolder",
    );
  }
  const part = configKey && json[configKey];
  return part && typeof part === "object" ? part as Record<string, unknown> : json;
}

/** Keys that configs of transformers have in common, most of them with their defaults. */
const TRANSFORMERS_KEYS: ReadonlySet<string> = new Set(
  ("add_cross_attention architectures bad_words_ids begin_suppress_tokens bos_token_id chunk_size_feed_forward " +
    "cross_attention_hidden_size decoder_start_token_id diversity_penalty do_sample dtype early_stopping " +
    "encoder_no_repeat_ngram_size eos_token_id exponential_decay_length_penalty finetuning_task " +
    "forced_bos_token_id forced_eos_token_id id2label is_decoder is_encoder_decoder label2id length_penalty " +
    "max_length min_length model_type no_repeat_ngram_size num_beam_groups num_beams num_return_sequences " +
    "output_attentions output_hidden_states output_scores pad_token_id prefix problem_type pruned_heads " +
    "remove_invalid_values repetition_penalty return_dict return_dict_in_generate sep_token_id " +
    "suppress_tokens task_specific_params temperature tf_legacy_loss tie_encoder_decoder tie_word_embeddings " +
    "tokenizer_class top_k top_p torch_dtype torchscript transformers_version typical_p use_bfloat16").split(
      " ",
    ),
);
