import type { Checkpoint } from "../formats/checkpoint.ts";
import type { StoredTensor } from "../formats/stored_tensor.ts";
import { tinyConfig, tinyView } from "../names/autoencoder_tiny.ts";
import { bflFluxConfig, bflFluxView } from "../names/flux.ts";
import { bflFlux2Config, bflFlux2View, bflVaeConfig, bflVaeView } from "../names/flux2.ts";
import { clipConfig, clipView, openClipConfig, openClipView } from "../names/clip.ts";
import { controlNetConfig, controlNetView } from "../names/controlnet.ts";
import { ipAdapterConfig, ipAdapterView } from "../names/ip_adapter.ts";
import type { Infos, Stored } from "../names/keys.ts";
import { ldmUnetConfig, ldmUnetView } from "../names/ldm_unet.ts";
import { ldmVaeConfig, ldmVaeView } from "../names/ldm_vae.ts";
import { qwen3Config, qwen3View } from "../names/qwen3.ts";
import { t5Config, t5View } from "../names/t5.ts";
import { zImageConfig, zImageView } from "../names/z_image.ts";
import {
  zImageControlNetConfig,
  zImageControlNetValues,
  zImageControlNetView,
} from "../names/z_image_controlnet.ts";

/** A model in a single file. */
export interface Part {
  /** Its class, as in model_index.json. */
  readonly className: string;
  /** The prefix of its keys. */
  readonly prefix: string;
  /** Its config, from keys and shapes. */
  config(tensors: Infos): Record<string, unknown>;
  /** Keys of its config that values decide, beside shapes. */
  readonly values?: ((checkpoint: Checkpoint) => Promise<Record<string, unknown>>) | undefined;
  /** Its tensors under diffusers' names. */
  view(tensors: Stored): Map<string, StoredTensor>;
  /** Its names may be diffusers' already, so that a config.json may be beside the file. */
  readonly mayHaveConfig: boolean;
}

/** A kind of model: the mark by which it is found in a single file, its config and its tensors. */
interface Kind {
  /** Its folder in diffusers' layout. */
  readonly folder: string;
  readonly className: string;
  /** Prefixes that its keys may have, in the order of the search. */
  readonly prefixes: readonly string[];
  /** A key, without the prefix, that only this kind has. */
  readonly mark: RegExp;
  /** Its names are those of diffusers or transformers. */
  readonly plain?: boolean | undefined;
  config(tensors: Infos, prefix: string): Record<string, unknown>;
  values?(checkpoint: Checkpoint, prefix: string): Promise<Record<string, unknown>>;
  view(tensors: Stored, prefix: string): Map<string, StoredTensor>;
}

const WITH_PROJECTION = { projection: true };
const WITHOUT = { projection: false };

const kinds: readonly Kind[] = [
  {
    folder: "ip_adapter",
    className: "IPAdapter",
    prefixes: [""],
    mark: /^(?:ip_adapter|image_proj)\./, // what else it must have, its config says
    config: ipAdapterConfig,
    view: ipAdapterView,
  },
  {
    folder: "controlnet",
    className: "ControlNetModel",
    prefixes: ["control_model.", ""],
    mark: /^(input_hint_block\.0|controlnet_cond_embedding\.conv_in)\.weight$/,
    config: controlNetConfig,
    view: controlNetView,
  },
  {
    folder: "controlnet",
    className: "ZImageControlNetModel",
    prefixes: [""],
    mark: /^control_all_x_embedder\.2-1\.weight$/,
    config: zImageControlNetConfig,
    values: zImageControlNetValues,
    view: zImageControlNetView,
  },
  {
    folder: "unet",
    className: "UNet2DConditionModel",
    prefixes: ["model.diffusion_model.", ""],
    mark: /^out\.2\.weight$/,
    config: ldmUnetConfig,
    view: ldmUnetView,
  },
  {
    folder: "transformer",
    className: "Flux2Transformer2DModel",
    prefixes: ["model.diffusion_model.", ""],
    mark: /^single_stream_modulation\.lin\.weight$/,
    config: bflFlux2Config,
    view: bflFlux2View,
  },
  {
    folder: "transformer",
    className: "FluxTransformer2DModel",
    prefixes: ["model.diffusion_model.", ""],
    mark: /^double_blocks\.0\.img_attn\.norm\.query_norm\.scale$/,
    config: bflFluxConfig,
    view: bflFluxView,
  },
  {
    folder: "transformer",
    className: "ZImageTransformer2DModel",
    prefixes: ["model.diffusion_model.", ""],
    mark: /^noise_refiner\.0\.attention\.qkv\.weight$/,
    config: zImageConfig,
    view: zImageView,
  },
  {
    folder: "vae",
    className: "AutoencoderTiny",
    prefixes: [""],
    mark: /^decoder\.layers\.\d+\.conv\.0\.weight$/,
    plain: true,
    config: tinyConfig,
    view: tinyView,
  },
  {
    folder: "vae",
    className: "AutoencoderKLFlux2",
    prefixes: ["first_stage_model.", "vae.", ""],
    mark: /^bn\.running_mean$/,
    config: bflVaeConfig,
    view: bflVaeView,
  },
  {
    folder: "vae",
    className: "AutoencoderKL",
    prefixes: ["first_stage_model.", "vae.", ""],
    mark: /^decoder\.mid\.block_1\.conv1\.weight$/,
    config: ldmVaeConfig,
    view: ldmVaeView,
  },
  {
    folder: "text_encoder",
    className: "CLIPTextModel",
    prefixes: [
      "cond_stage_model.transformer.",
      "conditioner.embedders.0.transformer.",
      "text_encoders.clip_l.transformer.",
      "",
    ],
    mark: /^(text_model\.)?embeddings\.position_embedding\.weight$/,
    plain: true,
    config: clipConfig,
    view: clipView,
  },
  {
    folder: "text_encoder",
    className: "CLIPTextModel",
    prefixes: ["cond_stage_model.model."],
    mark: /^positional_embedding$/,
    config: (tensors, prefix) => openClipConfig(tensors, prefix, WITHOUT),
    view: (tensors, prefix) => openClipView(tensors, prefix, WITHOUT),
  },
  {
    folder: "text_encoder_2",
    className: "CLIPTextModelWithProjection",
    prefixes: ["conditioner.embedders.1.model.", "conditioner.embedders.0.model.", ""],
    mark: /^positional_embedding$/,
    config: (tensors, prefix) => openClipConfig(tensors, prefix, WITH_PROJECTION),
    view: (tensors, prefix) => openClipView(tensors, prefix, WITH_PROJECTION),
  },
  {
    folder: "text_encoder_2",
    className: "T5EncoderModel",
    prefixes: ["text_encoders.t5xxl.transformer.", ""],
    mark: /^(encoder\.block\.0\.layer\.0\.SelfAttention\.q|enc\.blk\.0\.attn_q)\.weight$/,
    plain: true,
    config: t5Config,
    view: t5View,
  },
  {
    folder: "text_encoder",
    className: "Qwen3Model",
    prefixes: ["text_encoders.qwen3_4b.transformer.", "text_encoders.qwen3_8b.transformer.", ""],
    mark: /^((model\.)?layers\.0\.self_attn\.q_norm|blk\.0\.attn_q_norm)\.weight$/,
    plain: true,
    config: qwen3Config,
    view: qwen3View,
  },
];

/** The models in a single file, by their folders in diffusers' layout. */
export function findParts(tensors: Infos): Map<string, Part> {
  const keys = [...tensors.keys()];
  const parts = new Map<string, Part>();
  for (const { folder, className, prefixes, mark, plain = false, config, values, view } of kinds) {
    const prefix = prefixes.find((prefix) =>
      keys.some((key) => key.startsWith(prefix) && mark.test(key.slice(prefix.length)))
    );
    if (prefix === undefined || parts.has(folder)) continue;
    parts.set(folder, {
      className,
      prefix,
      mayHaveConfig: plain && prefix === "",
      config: (tensors) => config(tensors, prefix),
      values: values && ((checkpoint) => values(checkpoint, prefix)),
      view: (tensors) => view(tensors, prefix),
    });
  }
  return parts;
}
