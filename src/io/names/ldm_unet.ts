import { LDM_ENDS, LDM_RESNET, type NamePair } from "./ldm.ts";
import type { StoredTensor } from "../formats/stored_tensor.ts";
import { countOf, type Infos, renamed, shapeOf, type Stored } from "./keys.ts";

/**
 * The UNet of latent diffusion under the names of its own code (CompVis/latent-diffusion, openaimodel.py):
 * blocks of all levels in one list, where diffusers has a list of levels.
 */

const WHAT = "the UNet";
const HEAD_WIDTH = 64; // of models whose projections are dense layers: SD 2 and XL
const HEADS = 8; // of all levels of the others: SD 1

/** Residual blocks of a level: the list goes on with a convolution of stride 2. */
function layersOf(tensors: Infos, prefix: string): number {
  const blocks = countOf(tensors, `${prefix}input_blocks.`);
  for (let i = 1; i < blocks; i++) if (tensors.has(`${prefix}input_blocks.${i}.0.op.weight`)) return i - 1;
  return blocks - 1;
}

/** What the keys and shapes say of a UNet2DConditionModel's config. */
export function ldmUnetConfig(tensors: Infos, prefix: string): Record<string, unknown> {
  const shape = (key: string) => shapeOf(tensors, prefix + key, WHAT);
  const layers = layersOf(tensors, prefix);
  const levels = Math.ceil((countOf(tensors, `${prefix}input_blocks.`) - 1) / (layers + 1));
  const depth = (block: string) => countOf(tensors, `${prefix}${block}.1.transformer_blocks.`);
  const down = Array.from({ length: levels }, (_, i) => `input_blocks.${1 + i * (layers + 1)}`);
  const up = Array.from({ length: levels }, (_, i) => `output_blocks.${i * (layers + 1)}`);
  const channels = down.map((block) => shape(`${block}.0.in_layers.2.weight`)[0]);
  const attending = [...down, "middle_block"].find((block) => depth(block) > 0);
  const linear = attending !== undefined && shape(`${attending}.1.proj_in.weight`).length === 2;
  const depths = down.map((block, i) => depth(block) || (i === levels - 1 ? depth("middle_block") : 1));
  return {
    _class_name: "UNet2DConditionModel",
    in_channels: shape("input_blocks.0.0.weight")[1],
    out_channels: shape("out.2.weight")[0],
    block_out_channels: channels,
    down_block_types: down.map((block) => depth(block) ? "CrossAttnDownBlock2D" : "DownBlock2D"),
    up_block_types: up.map((block) => depth(block) ? "CrossAttnUpBlock2D" : "UpBlock2D"),
    layers_per_block: layers,
    transformer_layers_per_block: depths.every((n) => n === depths[0]) ? depths[0] : depths,
    ...attending && {
      cross_attention_dim: shape(`${attending}.1.transformer_blocks.0.attn2.to_k.weight`)[1],
    },
    attention_head_dim: linear ? channels.map((n) => n! / HEAD_WIDTH) : HEADS,
    use_linear_projection: linear,
    ...labels(tensors, prefix),
  };
}

/** SDXL embeds sizes and the pooled prompt; its "labels" are as wide as these together. */
function labels(tensors: Infos, prefix: string): Record<string, unknown> {
  const label = tensors.get(`${prefix}label_emb.0.0.weight`);
  if (!label) return {};
  return {
    addition_embed_type: "text_time",
    addition_time_embed_dim: 256,
    projection_class_embeddings_input_dim: label.shape[1],
  };
}

/** The tensors of a UNet under diffusers' names. */
export function ldmUnetView(tensors: Stored, prefix: string): Map<string, StoredTensor> {
  const perLevel = layersOf(tensors, prefix) + 1;
  return renamed(tensors, prefix, (key) => {
    const [, name, number, part, rest] = /^(input_blocks|middle_block|output_blocks)\.(\d+)\.(\d+\.)?(.*)$/
      .exec(key) ?? [];
    if (!name || (name === "input_blocks" && number === "0")) return namedBy(LDM_ENDS, key);
    if (name === "middle_block") {
      if (number === "1") return `mid_block.attentions.0.${rest}`;
      return inResnet("mid_block", Number(number) / 2, rest!);
    }
    const i = Number(number);
    if (name === "input_blocks") {
      const [level, layer] = [Math.floor((i - 1) / perLevel), (i - 1) % perLevel];
      const block = `down_blocks.${level}`;
      if (rest!.startsWith("op.")) return `${block}.downsamplers.0.conv.${rest!.slice(3)}`;
      return part === "0." ? inResnet(block, layer, rest!) : `${block}.attentions.${layer}.${rest}`;
    }
    const block = `up_blocks.${Math.floor(i / perLevel)}`;
    if (part === "0.") return inResnet(block, i % perLevel, rest!);
    return rest!.startsWith("conv.")
      ? `${block}.upsamplers.0.${rest}`
      : `${block}.attentions.${i % perLevel}.${rest}`;
  });
}

function inResnet(block: string, layer: number, rest: string): string {
  return `${block}.resnets.${layer}.${namedBy(LDM_RESNET, rest)}`;
}

/** A key under diffusers' names, or as it is where the table has none for it. */
function namedBy(table: readonly NamePair[], key: string): string {
  const [theirs, ours] = table.find(([name]) => key.startsWith(`${name}.`)) ?? ["", ""];
  return ours + key.slice(theirs.length);
}
