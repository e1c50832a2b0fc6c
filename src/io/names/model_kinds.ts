/** The kind of model that a file of weights is of. */
export interface ModelKind {
  /** The class that loads it, or its usual name. */
  readonly name: string;
  /** Advice where it is no model. */
  readonly use?: string;
  /** Classes that can load a part of it. */
  readonly holds?: readonly string[];
}

/** A pattern of one of the keys, and a second one that some key must match too. */
type Mark = readonly [mark: RegExp, also: RegExp | undefined, kind: ModelKind];

const lora: ModelKind = { name: "a LoRA", use: "load it onto a model: loadLoraWeights(), --lora" };
const model = (name: string): ModelKind => ({ name });

/** The first row that fits counts. */
const MARKS: readonly Mark[] = [
  [
    /[._]lora\d?(_linear_layer)?[._](up|down|A|B)\b|lora_(up|down|mid)\b|\.(hada_|lokr_|oft_|boft_|ia3_)|\.(diff|diff_b|[wb]_norm|set_weight)$/,
    undefined,
    lora,
  ],
  [
    /^(emb_params|string_to_param\.|string_to_token\.|<.*>$|clip_[lg]$)/,
    undefined,
    { name: "a textual inversion", use: "load it onto a pipeline: loadTextualInversion()" },
  ],
  [/^(image_proj|ip_adapter)\./, undefined, {
    name: "an IP-Adapter",
    use: "load it onto a pipeline: loadIpAdapter()",
  }],
  [/^controlnet_blocks\./, /^controlnet_x_embedder\./, model("FluxControlNetModel")],
  [
    /^(controlnet_cond_embedding|controlnet_down_blocks|control_model|input_hint_block)\./,
    undefined,
    model("ControlNetModel"),
  ],
  [/^control_all_x_embedder\./, undefined, model("ZImageControlNetModel")],
  [/^adapter\.body\./, undefined, model("T2IAdapter")],
  [
    /^(model\.diffusion_model|first_stage_model|cond_stage_model|conditioner)\./,
    undefined,
    model("a single file"),
  ],
  [/^(vision_model\.|visual\.)/, /^(text_model\.|transformer\.resblocks\.)/, {
    name: "a whole CLIP",
    holds: ["CLIPTextModel"],
  }],
  [/^vision_model\.head\./, undefined, model("SiglipVisionModel")],
  [/^(vision_model\.|visual\.)/, undefined, model("the part of CLIP that sees pictures")],
  [/^redux_up\./, undefined, model("ReduxImageEncoder")],
  [
    /^(text_model\.)?encoder\.layers\.0\.self_attn\.q_proj\./,
    /^text_projection\./,
    { name: "CLIPTextModelWithProjection", holds: ["CLIPTextModel"] },
  ],
  [/^(text_model\.)?encoder\.layers\.0\.self_attn\.q_proj\./, undefined, model("CLIPTextModel")],
  [/^encoder\.block\.0\.layer\.0\.SelfAttention\./, /^decoder\./, {
    name: "a whole T5",
    holds: ["T5EncoderModel"],
  }],
  [/^encoder\.block\.0\.layer\.0\.SelfAttention\./, undefined, model("T5EncoderModel")],
  [/^(model\.)?layers\.0\.self_attn\.q_norm\./, undefined, model("Qwen3Model")],
  [/^(encoder|decoder)\.layers\.\d+\.conv\.\d\./, undefined, model("AutoencoderTiny")],
  [/^bn\.running_mean$/, /^encoder\.down/, model("AutoencoderKLFlux2")],
  [/^encoder\.down_blocks\./, /^decoder\.up_blocks\./, model("AutoencoderKL")],
  [/^decoder\.up_blocks\./, undefined, model("the decoder of an AutoencoderKL")],
  [/^encoder\.down_blocks\./, undefined, model("the encoder of an AutoencoderKL")],
  [/^encoder\.down\.0\./, /^decoder\.up\.0\./, model("AutoencoderKL")],
  [/(^|\.)single_stream_modulation\.lin(ear)?\./, undefined, model("Flux2Transformer2DModel")],
  [/^single_transformer_blocks\.0\./, /^x_embedder\./, model("FluxTransformer2DModel")],
  [/^(all_)?x_embedder\./, /^context_refiner\.0\./, model("ZImageTransformer2DModel")],
  [/^transformer_blocks\.0\.attn\.add_q_proj\./, /^pos_embed\./, model("SD3Transformer2DModel")],
  [/^transformer_blocks\.0\.attn1\./, /^pos_embed\./, model("a diffusion transformer")],
  [/^(double|single)_blocks\.0\./, /^img_in\./, model("FluxTransformer2DModel")],
  [
    /^down_blocks\.\d\.attentions\.\d\.transformer_blocks\.\d+\.attn2\./,
    undefined,
    model("UNet2DConditionModel"),
  ],
  [/^down_blocks\.0\.motion_modules\./, undefined, model("a motion model")],
  [/^down_blocks\.\d\.resnets\.\d\./, /^time_embedding\./, model("UNet2DModel")],
  [/^input_blocks\.0\.0\./, undefined, model("UNet2DConditionModel")],
];

/** The kind of model by the keys of its weights; undefined for unknown keys. */
export function modelKind(keys: Iterable<string>): ModelKind | undefined {
  const all = [...keys];
  const has = (mark: RegExp | undefined) => !mark || all.some((key) => mark.test(key));
  return MARKS.find(([mark, also]) => has(mark) && has(also))?.[2];
}

/** Marks in keys of models that are not built; without this table they would be taken for others. */
const NOT_BUILT: readonly (readonly [mark: RegExp, name: string])[] = [
  [/(^|\.)joint_blocks\.0\.context_block\./, "Stable Diffusion 3"],
  [/(^|\.)distilled_guidance_layer\./, "Chroma"],
  [/(^|\.)early_stream_modulations\./, "FLUX.3"],
  [/^edm_mean$/, "Playground v2.5"],
  [/(^|\.)motion_modules\./, "AnimateDiff"],
  [/(^|\.)label_emb\.weight$/, "the Stable Diffusion x4 upscaler"],
  [/^clip_txt_mapper\.|^down_blocks\.1\.0\.channelwise\./, "Stable Cascade"],
  [/(^|\.)txt_in\.individual_token_refiner\./, "HunyuanVideo"],
  [/(^|\.)head\.modulation$/, "Wan"],
  [/(^|\.)patchify_proj\./, "LTX-Video"],
  [/(^|\.)siglip_embedder\.0\./, "Z-Image-Omni"],
  [/(^|\.)layers\.0\.adaLN_modulation\.1\./, "Lumina"],
  [/(^|\.)double_layers\.0\.attn\.w2q\./, "AuraFlow"],
];

/** The name of a model that is known but not built. */
export function notBuiltModel(tensors: ReadonlyMap<string, unknown>): string | undefined {
  return NOT_BUILT.find(([mark]) => tensors.keys().some((key) => mark.test(key)))?.[1];
}
