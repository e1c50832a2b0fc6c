import { type RawTensor, stacked, turned } from "./raw_tensors.ts";

/**
 * Tensors under diffusers' names, put under the names of the models' authors:
 * the way back of src/io/single_file.
 */

type Raws = ReadonlyMap<string, RawTensor>;

/** What one key becomes, or undefined where a group of keys is handled elsewhere. */
type Rename = (key: string) => string | undefined;

function renamedBy(tensors: Raws, prefix: string, rename: Rename): Map<string, RawTensor> {
  const renamed = new Map<string, RawTensor>();
  for (const [key, tensor] of tensors) {
    const name = rename(key);
    if (name !== undefined) renamed.set(prefix + name, tensor);
  }
  return renamed;
}

/** Replaces the first pattern that is found in a key. */
function replaceFirst(
  key: string,
  rules: readonly (readonly [RegExp, string | ((...groups: string[]) => string)])[],
) {
  const [from, to] = rules.find(([from]) => from.test(key)) ?? [];
  return from ? key.replace(from, to as string) : key;
}

/** CompVis's UNet, with `layers` residual blocks a level on the way down. */
export function toLdmUnet(
  tensors: Raws,
  layers: number,
  prefix = "model.diffusion_model.",
): Map<string, RawTensor> {
  const keys = [...tensors.keys()];
  const resnet = (key: string) =>
    replaceFirst(key, [
      [/norm1/, "in_layers.0"],
      [/conv1/, "in_layers.2"],
      [/time_emb_proj/, "emb_layers.1"],
      [/norm2/, "out_layers.0"],
      [/conv2/, "out_layers.3"],
      [/conv_shortcut/, "skip_connection"],
    ]);
  const attends = (level: string) => keys.some((key) => key.startsWith(`up_blocks.${level}.attentions.`));
  return renamedBy(tensors, prefix, (key) => {
    const [, kind, level, list, layer, rest] =
      /^(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)$/.exec(key) ?? [];
    const inner = list === "resnets" ? resnet(rest!) : rest;
    if (kind === "down") {
      const first = 1 + Number(level) * (layers + 1);
      if (list === "downsamplers") return `input_blocks.${first + layers}.0.op.${rest!.slice(5)}`;
      return `input_blocks.${first + Number(layer)}.${list === "resnets" ? 0 : 1}.${inner}`;
    }
    if (kind === "up") {
      const first = Number(level) * (layers + 1);
      if (list === "upsamplers") return `output_blocks.${first + layers}.${attends(level!) ? 2 : 1}.${rest}`;
      return `output_blocks.${first + Number(layer)}.${list === "resnets" ? 0 : 1}.${inner}`;
    }
    const [, mid, index, last] = /^mid_block\.(resnets|attentions)\.(\d)\.(.*)$/.exec(key) ?? [];
    if (mid === "attentions") return `middle_block.1.${last}`;
    if (mid === "resnets") return `middle_block.${Number(index) * 2}.${resnet(last!)}`;
    return replaceFirst(key, [
      [/^time_embedding\.linear_1/, "time_embed.0"],
      [/^time_embedding\.linear_2/, "time_embed.2"],
      [/^add_embedding\.linear_1/, "label_emb.0.0"],
      [/^add_embedding\.linear_2/, "label_emb.0.2"],
      [/^conv_in/, "input_blocks.0.0"],
      [/^conv_norm_out/, "out.0"],
      [/^conv_out/, "out.2"],
    ]);
  });
}

/** CompVis's autoencoder of `levels` levels; its attention is 1×1 convolutions. */
export function toLdmVae(
  tensors: Raws,
  levels: number,
  prefix = "first_stage_model.",
): Map<string, RawTensor> {
  const named = renamedBy(tensors, prefix, (key) =>
    replaceFirst(key, [
      [/\.down_blocks\.(\d)\.resnets\./, ".down.$1.block."],
      [/\.down_blocks\.(\d)\.downsamplers\.0\./, ".down.$1.downsample."],
      [/\.up_blocks\.(\d)\.resnets\./, (_, i) => `.up.${levels - 1 - Number(i)}.block.`],
      [/\.up_blocks\.(\d)\.upsamplers\.0\./, (_, i) => `.up.${levels - 1 - Number(i)}.upsample.`],
      [/\.mid_block\.resnets\.(\d)\./, (_, i) => `.mid.block_${Number(i) + 1}.`],
      [/\.mid_block\.attentions\.0\.group_norm\./, ".mid.attn_1.norm."],
      [/\.mid_block\.attentions\.0\.to_out\.0\./, ".mid.attn_1.proj_out."],
      [/\.mid_block\.attentions\.0\.to_(.)\./, ".mid.attn_1.$1."],
      [/\.conv_norm_out\./, ".norm_out."],
    ]).replace("conv_shortcut", "nin_shortcut"));
  for (const [key, tensor] of named) {
    if (/attn_1\.(q|k|v|proj_out)\.weight$/.test(key)) {
      named.set(key, { ...tensor, shape: [...tensor.shape, 1, 1] });
    }
  }
  return named;
}

/**
 * OpenCLIP's text model; with `spare` there is one more layer, a copy of the last, which SD 2 passes over.
 */
export function toOpenClip(
  tensors: Raws,
  prefix: string,
  { spare }: { spare: boolean },
): Map<string, RawTensor> {
  const plain = new Map([...tensors].map(([key, tensor]) => [key.replace(/^text_model\./, ""), tensor]));
  const result = renamedBy(plain, prefix, (key) => {
    if (/self_attn\.[qkv]_proj|text_projection/.test(key)) return undefined;
    return replaceFirst(key, [
      [/^embeddings\.position_embedding\.weight/, "positional_embedding"],
      [/^embeddings\.token_embedding/, "token_embedding"],
      [/^final_layer_norm/, "ln_final"],
      [/^encoder\.layers\.(\d+)\.layer_norm(\d)/, "transformer.resblocks.$1.ln_$2"],
      [/^encoder\.layers\.(\d+)\.self_attn\.out_proj/, "transformer.resblocks.$1.attn.out_proj"],
      [/^encoder\.layers\.(\d+)\.mlp\.fc1/, "transformer.resblocks.$1.mlp.c_fc"],
      [/^encoder\.layers\.(\d+)\.mlp\.fc2/, "transformer.resblocks.$1.mlp.c_proj"],
    ]);
  });
  let layers = 0;
  for (; plain.has(`encoder.layers.${layers}.self_attn.q_proj.weight`); layers++) {
    for (const leaf of ["weight", "bias"]) {
      const parts = ["q", "k", "v"].map((x) =>
        plain.get(`encoder.layers.${layers}.self_attn.${x}_proj.${leaf}`)!
      );
      result.set(`${prefix}transformer.resblocks.${layers}.attn.in_proj_${leaf}`, stacked(parts));
    }
  }
  const projection = plain.get("text_projection.weight");
  if (projection) result.set(`${prefix}text_projection`, turned(projection));
  if (spare) {
    for (const [key, tensor] of [...result]) {
      const copy = key.replace(`resblocks.${layers - 1}.`, `resblocks.${layers}.`);
      if (copy !== key) result.set(copy, tensor);
    }
  }
  result.set(`${prefix}logit_scale`, { dtype: "F32", shape: [], bytes: new Uint8Array(4) });
  return result;
}

/** Black Forest Labs' FLUX transformer. */
export function toBflFlux(tensors: Raws, prefix = ""): Map<string, RawTensor> {
  const streams = [["img", "", "attn.to_", ""], ["txt", "_context", "attn.add_", "_proj"]] as const;
  const result = renamedBy(tensors, prefix, (key) => {
    if (/attn\.(to_|add_)[qkv]|proj_mlp|^norm_out/.test(key)) return undefined;
    return replaceFirst(key, [
      [/^transformer_blocks\.(\d+)\.norm1\.linear/, "double_blocks.$1.img_mod.lin"],
      [/^transformer_blocks\.(\d+)\.norm1_context\.linear/, "double_blocks.$1.txt_mod.lin"],
      [/^transformer_blocks\.(\d+)\.attn\.norm_q\.weight/, "double_blocks.$1.img_attn.norm.query_norm.scale"],
      [/^transformer_blocks\.(\d+)\.attn\.norm_k\.weight/, "double_blocks.$1.img_attn.norm.key_norm.scale"],
      [
        /^transformer_blocks\.(\d+)\.attn\.norm_added_q\.weight/,
        "double_blocks.$1.txt_attn.norm.query_norm.scale",
      ],
      [
        /^transformer_blocks\.(\d+)\.attn\.norm_added_k\.weight/,
        "double_blocks.$1.txt_attn.norm.key_norm.scale",
      ],
      [/^transformer_blocks\.(\d+)\.attn\.to_out\.0/, "double_blocks.$1.img_attn.proj"],
      [/^transformer_blocks\.(\d+)\.attn\.to_add_out/, "double_blocks.$1.txt_attn.proj"],
      [/^transformer_blocks\.(\d+)\.ff\.net\.0\.proj/, "double_blocks.$1.img_mlp.0"],
      [/^transformer_blocks\.(\d+)\.ff\.net\.2/, "double_blocks.$1.img_mlp.2"],
      [/^transformer_blocks\.(\d+)\.ff_context\.net\.0\.proj/, "double_blocks.$1.txt_mlp.0"],
      [/^transformer_blocks\.(\d+)\.ff_context\.net\.2/, "double_blocks.$1.txt_mlp.2"],
      [/^single_transformer_blocks\.(\d+)\.norm\.linear/, "single_blocks.$1.modulation.lin"],
      [/^single_transformer_blocks\.(\d+)\.attn\.norm_q\.weight/, "single_blocks.$1.norm.query_norm.scale"],
      [/^single_transformer_blocks\.(\d+)\.attn\.norm_k\.weight/, "single_blocks.$1.norm.key_norm.scale"],
      [/^single_transformer_blocks\.(\d+)\.proj_out/, "single_blocks.$1.linear2"],
      [/^x_embedder/, "img_in"],
      [/^context_embedder/, "txt_in"],
      [/^time_text_embed\.timestep_embedder\.linear_1/, "time_in.in_layer"],
      [/^time_text_embed\.timestep_embedder\.linear_2/, "time_in.out_layer"],
      [/^time_text_embed\.guidance_embedder\.linear_1/, "guidance_in.in_layer"],
      [/^time_text_embed\.guidance_embedder\.linear_2/, "guidance_in.out_layer"],
      [/^time_text_embed\.text_embedder\.linear_1/, "vector_in.in_layer"],
      [/^time_text_embed\.text_embedder\.linear_2/, "vector_in.out_layer"],
      [/^proj_out/, "final_layer.linear"],
    ]);
  });
  for (const leaf of ["weight", "bias"]) {
    for (let i = 0; tensors.has(`transformer_blocks.${i}.attn.to_q.weight`); i++) {
      for (const [stream, , front, back] of streams) {
        const parts = ["q", "k", "v"].map((x) =>
          tensors.get(`transformer_blocks.${i}.${front}${x}${back}.${leaf}`)!
        );
        result.set(`${prefix}double_blocks.${i}.${stream}_attn.qkv.${leaf}`, stacked(parts));
      }
    }
    for (let i = 0; tensors.has(`single_transformer_blocks.${i}.attn.to_q.weight`); i++) {
      const layers = ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"];
      const parts = layers.map((layer) => tensors.get(`single_transformer_blocks.${i}.${layer}.${leaf}`)!);
      result.set(`${prefix}single_blocks.${i}.linear1.${leaf}`, stacked(parts));
    }
    const modulation = `${prefix}final_layer.adaLN_modulation.1.${leaf}`;
    result.set(modulation, swapped(tensors.get(`norm_out.linear.${leaf}`)!));
  }
  return result;
}

/** Black Forest Labs' FLUX.2 transformer; norms are called as ComfyUI has them where `norm` says "weight". */
export function toBflFlux2(
  tensors: Raws,
  prefix = "",
  norm: "scale" | "weight" = "scale",
): Map<string, RawTensor> {
  const result = renamedBy(tensors, prefix, (key) => {
    if (/attn\.(to_|add_)[qkv](_proj)?\.|^norm_out/.test(key)) return undefined;
    return replaceFirst(key, [
      [
        /^transformer_blocks\.(\d+)\.attn\.norm_q\.weight/,
        `double_blocks.$1.img_attn.norm.query_norm.${norm}`,
      ],
      [/^transformer_blocks\.(\d+)\.attn\.norm_k\.weight/, `double_blocks.$1.img_attn.norm.key_norm.${norm}`],
      [
        /^transformer_blocks\.(\d+)\.attn\.norm_added_q\.weight/,
        `double_blocks.$1.txt_attn.norm.query_norm.${norm}`,
      ],
      [
        /^transformer_blocks\.(\d+)\.attn\.norm_added_k\.weight/,
        `double_blocks.$1.txt_attn.norm.key_norm.${norm}`,
      ],
      [/^transformer_blocks\.(\d+)\.attn\.to_out\.0/, "double_blocks.$1.img_attn.proj"],
      [/^transformer_blocks\.(\d+)\.attn\.to_add_out/, "double_blocks.$1.txt_attn.proj"],
      [/^transformer_blocks\.(\d+)\.ff\.linear_in/, "double_blocks.$1.img_mlp.0"],
      [/^transformer_blocks\.(\d+)\.ff\.linear_out/, "double_blocks.$1.img_mlp.2"],
      [/^transformer_blocks\.(\d+)\.ff_context\.linear_in/, "double_blocks.$1.txt_mlp.0"],
      [/^transformer_blocks\.(\d+)\.ff_context\.linear_out/, "double_blocks.$1.txt_mlp.2"],
      [/^single_transformer_blocks\.(\d+)\.attn\.norm_q\.weight/, `single_blocks.$1.norm.query_norm.${norm}`],
      [/^single_transformer_blocks\.(\d+)\.attn\.norm_k\.weight/, `single_blocks.$1.norm.key_norm.${norm}`],
      [/^single_transformer_blocks\.(\d+)\.attn\.to_qkv_mlp_proj/, "single_blocks.$1.linear1"],
      [/^single_transformer_blocks\.(\d+)\.attn\.to_out/, "single_blocks.$1.linear2"],
      [/^x_embedder/, "img_in"],
      [/^context_embedder/, "txt_in"],
      [/^time_guidance_embed\.timestep_embedder\.linear_1/, "time_in.in_layer"],
      [/^time_guidance_embed\.timestep_embedder\.linear_2/, "time_in.out_layer"],
      [/^time_guidance_embed\.guidance_embedder\.linear_1/, "guidance_in.in_layer"],
      [/^time_guidance_embed\.guidance_embedder\.linear_2/, "guidance_in.out_layer"],
      [/^(\w+_stream_modulation(_\w+)?)\.linear/, "$1.lin"],
      [/^proj_out/, "final_layer.linear"],
    ]);
  });
  for (let i = 0; tensors.has(`transformer_blocks.${i}.attn.to_q.weight`); i++) {
    const fused = { img: ["to_q", "to_k", "to_v"], txt: ["add_q_proj", "add_k_proj", "add_v_proj"] };
    for (const [stream, layers] of Object.entries(fused)) {
      const parts = layers.map((layer) => tensors.get(`transformer_blocks.${i}.attn.${layer}.weight`)!);
      result.set(`${prefix}double_blocks.${i}.${stream}_attn.qkv.weight`, stacked(parts));
    }
  }
  result.set(
    `${prefix}final_layer.adaLN_modulation.1.weight`,
    swapped(tensors.get("norm_out.linear.weight")!),
  );
  return result;
}

/** Black Forest Labs' FLUX.2 autoencoder of `levels` levels, which has its outer convolutions in the coders. */
export function toBflVae(tensors: Raws, levels: number, prefix = ""): Map<string, RawTensor> {
  return renamedBy(
    toLdmVae(tensors, levels, ""),
    prefix,
    (key) => key.replace(/^quant_conv/, "encoder.quant_conv").replace(/^post_quant/, "decoder.post_quant"),
  );
}

/** The two halves of a tensor's rows, exchanged. */
function swapped({ dtype, shape: [rows, ...row], bytes }: RawTensor): RawTensor {
  const half = { dtype, shape: [rows! / 2, ...row] };
  const halves = [bytes.slice(bytes.length / 2), bytes.slice(0, bytes.length / 2)];
  return stacked(halves.map((bytes) => ({ ...half, bytes })));
}

/** Z-Image's transformer as its authors have it, with the norm that no model reads. */
export function toZImage(tensors: Raws, prefix = ""): Map<string, RawTensor> {
  const result = renamedBy(tensors, prefix, (key) => {
    if (/attention\.to_[qkv]\./.test(key)) return undefined;
    return replaceFirst(key, [
      [/^all_(x_embedder|final_layer)\.2-1\./, "$1."],
      [/attention\.norm_([qk])\./, "attention.$1_norm."],
      [/attention\.to_out\.0\./, "attention.out."],
    ]);
  });
  for (const key of tensors.keys()) {
    const [, attention] = /^(.*\.attention)\.to_q\.weight$/.exec(key) ?? [];
    if (!attention) continue;
    const parts = ["q", "k", "v"].map((x) => tensors.get(`${attention}.to_${x}.weight`)!);
    result.set(`${prefix}${attention}.qkv.weight`, stacked(parts));
  }
  result.set(`${prefix}norm_final.weight`, { dtype: "F32", shape: [1], bytes: new Uint8Array(4) });
  return result;
}

/** The same tensors behind a prefix. */
export function behind(tensors: Raws, prefix: string): Map<string, RawTensor> {
  return renamedBy(tensors, prefix, (key) => key);
}

const LLAMA: Record<string, string> = {
  input_layernorm: "attn_norm",
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.o_proj": "attn_output",
  "self_attn.q_norm": "attn_q_norm",
  "self_attn.k_norm": "attn_k_norm",
  post_attention_layernorm: "ffn_norm",
  "mlp.gate_proj": "ffn_gate",
  "mlp.up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down",
};

/** A Qwen3 under the names that llama.cpp has in GGUF files. */
export function toLlamaQwen3(model: Map<string, RawTensor>): Map<string, RawTensor> {
  return new Map([...model].map(([key, tensor]) => {
    const name = key.replace(/^model\./, "")
      .replace(/^embed_tokens\./, "token_embd.").replace(/^norm\./, "output_norm.")
      .replace(/^layers\.(\d+)\.(.*)\.(\w+)$/, (_, i, part, kind) => `blk.${i}.${LLAMA[part]}.${kind}`);
    return [name, tensor];
  }));
}
