import type { TensorInfo } from "../formats/stored_tensor.ts";
import { countOf, type Infos, renamed, shapeOf } from "./keys.ts";

/**
 * The UNet of latent diffusion under the names of its own code (CompVis/latent-diffusion, openaimodel.py),
 * which Stability AI's code has kept. It has the blocks of all levels in one list, diffusers has a list for
 * each level.
 */

/** The name of a layer or block in LDM's code, and in diffusers'. */
type NamePair = readonly [ldm: string, diffusers: string];

const OUTSIDE_LEVELS: readonly NamePair[] = [
  ["time_embed.0", "time_embedding.linear_1"],
  ["time_embed.2", "time_embedding.linear_2"],
  ["label_emb.0.0", "add_embedding.linear_1"],
  ["label_emb.0.2", "add_embedding.linear_2"],
  ["input_blocks.0.0", "conv_in"],
  ["middle_block.0", "mid_block.resnets.0"],
  ["middle_block.1", "mid_block.attentions.0"],
  ["middle_block.2", "mid_block.resnets.1"],
  ["out.0", "conv_norm_out"],
  ["out.2", "conv_out"],
];

/** In a residual block. */
const RESNET: readonly NamePair[] = [
  ["in_layers.0", "norm1"],
  ["in_layers.2", "conv1"],
  ["emb_layers.1", "time_emb_proj"],
  ["out_layers.0", "norm2"],
  ["out_layers.3", "conv2"],
  ["skip_connection", "conv_shortcut"],
];

/** Layers and blocks of a UNet with `layers` residual blocks a level down, and one more up. */
function ldmNames(levels: number, layers: number): NamePair[] {
  const names = [...OUTSIDE_LEVELS];
  for (let level = 0; level < levels; level++) {
    const [down, up] = [`down_blocks.${level}`, `up_blocks.${level}`];
    const first = level * (layers + 1);
    names.push( // these in front: the upsampler's names begin like those of attention
      [`input_blocks.${first + layers + 1}.0.op`, `${down}.downsamplers.0.conv`],
      [`output_blocks.${first + layers}.1.conv`, `${up}.upsamplers.0.conv`], // behind a block without attention
      [`output_blocks.${first + layers}.2.conv`, `${up}.upsamplers.0.conv`],
    );
    for (let i = 0; i <= layers; i++) {
      names.push(
        [`output_blocks.${first + i}.0`, `${up}.resnets.${i}`],
        [`output_blocks.${first + i}.1`, `${up}.attentions.${i}`],
      );
      if (i === layers) break;
      names.push(
        [`input_blocks.${first + i + 1}.0`, `${down}.resnets.${i}`],
        [`input_blocks.${first + i + 1}.1`, `${down}.attentions.${i}`],
      );
    }
  }
  return names;
}

/** The row of a table that a name begins with, and what follows. */
function* rowsFor(
  table: readonly NamePair[],
  side: 0 | 1,
  name: string,
): Generator<[row: NamePair, rest: string]> {
  for (const row of table) {
    if (name === row[side] || name.startsWith(`${row[side]}.`)) yield [row, name.slice(row[side].length)];
  }
}

/** LDM's names for the layers of a UNet with diffusers' names; LoRAs of kohya's trainer use them. */
export function* ldmLayerNames(
  layers: ReadonlyMap<string, unknown>,
): Generator<[layer: string, ldm: string]> {
  const levels = Math.max(countOf(layers, "down_blocks."), countOf(layers, "up_blocks."));
  const perLevel = Math.max(
    countOf(layers, "down_blocks.0.resnets."),
    countOf(layers, "up_blocks.0.resnets.") - 1,
  );
  const table = ldmNames(levels, perLevel);
  for (const layer of layers.keys()) {
    for (const [[ldm, diffusers], rest] of rowsFor(table, 1, layer)) {
      const [inner] = diffusers.includes(".resnets.") ? rowsFor(RESNET, 1, rest.slice(1)) : [];
      yield [layer, ldm + (inner ? `.${inner[0][0]}` : rest)];
    }
  }
}

const WHAT = "the UNet";
const HEAD_WIDTH = 64; // of models whose projections are dense layers: SD 2 and XL
const HEADS = 8; // of all levels of the others: SD 1

/** Residual blocks of a level: the list goes on with a convolution of stride 2. */
function layersOf(tensors: Infos, prefix: string): number {
  const blocks = countOf(tensors, `${prefix}input_blocks.`);
  for (let i = 1; i < blocks; i++) if (tensors.has(`${prefix}input_blocks.${i}.0.op.weight`)) return i - 1;
  return blocks - 1;
}

/**
 * Config keys of the blocks on a UNet's way down and of their transformers, from the shapes of tensors under
 * diffusers' names.
 */
export function transformersOfUnet(
  tensors: Infos,
  blocks: readonly string[],
  what: string,
): Record<string, unknown> {
  const shape = (key: string) => shapeOf(tensors, key, what);
  const depth = (block: string) => countOf(tensors, `${block}.attentions.0.transformer_blocks.`);
  const channels = blocks.map((block) => shape(`${block}.resnets.0.conv1.weight`)[0]);
  const attending = [...blocks, "mid_block"].find((block) => depth(block) > 0);
  const first = `${attending}.attentions.0`;
  const linear = attending !== undefined && shape(`${first}.proj_in.weight`).length === 2;
  const depths = blocks.map((block, i) => depth(block) || (i === blocks.length - 1 ? depth("mid_block") : 1));
  return {
    block_out_channels: channels,
    down_block_types: blocks.map((block) => depth(block) ? "CrossAttnDownBlock2D" : "DownBlock2D"),
    transformer_layers_per_block: depths.every((n) => n === depths[0]) ? depths[0] : depths,
    ...attending && {
      cross_attention_dim: shape(`${first}.transformer_blocks.0.attn2.to_k.weight`)[1],
    },
    attention_head_dim: linear ? channels.map((n) => n! / HEAD_WIDTH) : HEADS,
    use_linear_projection: linear,
  };
}

/** A UNet2DConditionModel's config, from keys and shapes. */
export function ldmUnetConfig(tensors: Infos, prefix: string): Record<string, unknown> {
  const own = ldmUnetView(tensors, prefix);
  const shape = (key: string) => shapeOf(own, key, WHAT);
  const blocks = (way: string) =>
    Array.from({ length: countOf(own, `${way}_blocks.`) }, (_, i) => `${way}_blocks.${i}`);
  const attends = (block: string) => countOf(own, `${block}.attentions.0.transformer_blocks.`) > 0;
  return {
    _class_name: "UNet2DConditionModel",
    in_channels: shape("conv_in.weight")[1],
    out_channels: shape("conv_out.weight")[0],
    up_block_types: blocks("up").map((block) => attends(block) ? "CrossAttnUpBlock2D" : "UpBlock2D"),
    layers_per_block: layersOf(tensors, prefix),
    ...transformersOfUnet(own, blocks("down"), WHAT),
    ...labels(own),
  };
}

/** Config keys of SDXL, whose "label" is the embedding of sizes together with the pooled prompt. */
export function labels(tensors: Infos): Record<string, unknown> {
  const label = tensors.get("add_embedding.linear_1.weight");
  if (!label) return {};
  return {
    addition_embed_type: "text_time",
    addition_time_embed_dim: 256,
    projection_class_embeddings_input_dim: label.shape[1],
  };
}

/** The tensors of a UNet under diffusers' names. */
export function ldmUnetView<T extends TensorInfo>(
  tensors: ReadonlyMap<string, T>,
  prefix: string,
): Map<string, T> {
  const layers = layersOf(tensors, prefix);
  const blocks = Math.max(
    countOf(tensors, `${prefix}input_blocks.`),
    countOf(tensors, `${prefix}output_blocks.`),
  );
  const table = ldmNames(Math.ceil(blocks / (layers + 1)), layers);
  return renamed(tensors, prefix, (key) => {
    const [found] = rowsFor(table, 0, key);
    if (!found) return key; // of other parts, or of no model
    const [[, diffusers], rest] = found;
    const [inner] = diffusers.includes(".resnets.") ? rowsFor(RESNET, 0, rest.slice(1)) : [];
    return diffusers + (inner ? `.${inner[0][1]}${inner[1]}` : rest);
  });
}
