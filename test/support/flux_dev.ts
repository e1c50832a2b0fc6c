import { join } from "node:path";
import { fixture } from "./fixtures.ts";
import { fluxDevShapes, type Shapes } from "./flux_dev_shapes.ts";

/** A file of a checkpoint: its header, and the size that it has with all tensors. */
export interface HeaderFile {
  readonly header: Uint8Array<ArrayBuffer>;
  readonly size: number;
}

const configs: Record<string, object> = {
  transformer: {
    _class_name: "FluxTransformer2DModel",
    attention_head_dim: 128,
    guidance_embeds: true,
    in_channels: 64,
    joint_attention_dim: 4096,
    num_attention_heads: 24,
    num_layers: 19,
    num_single_layers: 38,
    patch_size: 1,
    pooled_projection_dim: 768,
  },
  text_encoder: {
    architectures: ["CLIPTextModel"],
    model_type: "clip_text_model",
    hidden_act: "quick_gelu",
    hidden_size: 768,
    intermediate_size: 3072,
    max_position_embeddings: 77,
    num_attention_heads: 12,
    num_hidden_layers: 12,
    projection_dim: 768,
    vocab_size: 49408,
    eos_token_id: 2,
  },
  text_encoder_2: {
    architectures: ["T5EncoderModel"],
    model_type: "t5",
    d_ff: 10240,
    d_kv: 64,
    d_model: 4096,
    dense_act_fn: "gelu_new",
    feed_forward_proj: "gated-gelu",
    is_gated_act: true,
    num_heads: 64,
    num_layers: 24,
    relative_attention_max_distance: 128,
    relative_attention_num_buckets: 32,
    vocab_size: 32128,
  },
  vae: {
    _class_name: "AutoencoderKL",
    block_out_channels: [128, 256, 512, 512],
    down_block_types: new Array(4).fill("DownEncoderBlock2D"),
    up_block_types: new Array(4).fill("UpDecoderBlock2D"),
    force_upcast: true,
    in_channels: 3,
    out_channels: 3,
    latent_channels: 16,
    layers_per_block: 2,
    sample_size: 1024,
    scaling_factor: 0.3611,
    shift_factor: 0.1159,
    use_quant_conv: false,
    use_post_quant_conv: false,
  },
};

const shards: Record<string, number> = { transformer: 3, text_encoder_2: 2 };

/**
 * The texts of FLUX.1-dev's repository by path: its configs, and small tokenizers in place of the large ones.
 */
export async function fluxDevTexts(): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for (const part of ["", "scheduler", "tokenizer", "tokenizer_2"]) {
    const folder = fixture(join("flux/pipeline", part));
    for await (const { name, isFile } of Deno.readDir(folder)) {
      if (isFile) {
        texts.set(join(part, name), await Deno.readTextFile(join(folder, name)));
      }
    }
  }
  for (const [part, config] of Object.entries(configs)) {
    texts.set(`${part}/config.json`, JSON.stringify(config));
    if (!shards[part]) continue;
    const weight_map = Object.fromEntries(
      files(part).flatMap(([name, shapes]) => Object.keys(shapes).map((key) => [key, name])),
    );
    texts.set(`${part}/${stem(part)}.safetensors.index.json`, JSON.stringify({ metadata: {}, weight_map }));
  }
  return texts;
}

/** The headers of FLUX.1-dev's weights in bf16 by path, with the true shapes and no data. */
export function fluxDevHeaders(): Map<string, HeaderFile> {
  const found = new Map<string, HeaderFile>();
  for (const part of Object.keys(configs)) {
    for (const [name, shapes] of files(part)) found.set(`${part}/${name}`, headerOf(shapes));
  }
  return found;
}

/** Writes the repository into a folder; the weights are holes, which take no room on the disk. */
export async function writeFluxDev(folder: string): Promise<void> {
  for (const [path, text] of await fluxDevTexts()) {
    await Deno.mkdir(join(folder, path, ".."), { recursive: true });
    await Deno.writeTextFile(join(folder, path), text);
  }
  for (const [path, { header, size }] of fluxDevHeaders()) {
    await Deno.writeFile(join(folder, path), header);
    await Deno.truncate(join(folder, path), size);
  }
}

function stem(part: string): string {
  return part.startsWith("text") ? "model" : "diffusion_pytorch_model";
}

/** The files of a part's weights with the tensors in each. */
function files(part: string): [name: string, Shapes][] {
  const entries = Object.entries(fluxDevShapes[part]!());
  const count = shards[part];
  if (!count) return [[`${stem(part)}.safetensors`, Object.fromEntries(entries)]];
  const each = Math.ceil(entries.length / count);
  const number = (i: number) => String(i).padStart(5, "0");
  return Array.from({ length: count }, (_, i) => [
    `${stem(part)}-${number(i + 1)}-of-${number(count)}.safetensors`,
    Object.fromEntries(entries.slice(i * each, (i + 1) * each)),
  ]);
}

/** The header of tensors in bf16. */
export function headerOf(shapes: Shapes): HeaderFile {
  let end = 0;
  const header = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const begin = end;
      end += 2 * shape.reduce((product, n) => product * n, 1);
      return [name, { dtype: "BF16", shape, data_offsets: [begin, end] }];
    }),
  );
  const json = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return { header: bytes, size: bytes.length + end };
}
