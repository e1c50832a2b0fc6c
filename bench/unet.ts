import { UNet2DModel } from "denoise/models";
import { noise } from "./random.ts";
import { type Entry, writeSafetensors } from "./safetensors.ts";

/** The config of google/ddpm-celebahq-256 (Ho et al. 2020): 113,673,219 parameters. */
export const CELEBAHQ = {
  _class_name: "UNet2DModel",
  sample_size: 256,
  in_channels: 3,
  out_channels: 3,
  layers_per_block: 2,
  block_out_channels: [128, 128, 256, 256, 512, 512],
  down_block_types: [
    "DownBlock2D",
    "DownBlock2D",
    "DownBlock2D",
    "DownBlock2D",
    "AttnDownBlock2D",
    "DownBlock2D",
  ],
  up_block_types: ["UpBlock2D", "AttnUpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D"],
  attention_head_dim: null,
  downsample_padding: 0,
  flip_sin_to_cos: false,
  freq_shift: 1,
  norm_eps: 1e-6,
  norm_num_groups: 32,
  act_fn: "silu",
};

/** The model at its real size with seeded weights, through a file as any other, which is removed. */
export async function seededUNet(): Promise<UNet2DModel> {
  const folder = await Deno.makeTempDir({ prefix: "denoise-bench-" });
  try {
    await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(CELEBAHQ));
    await writeSafetensors(
      `${folder}/diffusion_pytorch_model.safetensors`,
      [...parameters()],
      (count, shape) => shape.length === 1 ? noise(count, 0.1) : noise(count, Math.sqrt(shape[0] / count)),
    );
    return await UNet2DModel.fromPretrained(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Multiply-adds of one step at this size, counted twice; norms and activations are left out. */
export function unetFlops(side: number): number {
  const last = CELEBAHQ.block_out_channels.length - 1;
  let flops = 0;
  for (const [name, shape] of parameters()) {
    const weights = shape.reduce((product, n) => product * n, 1);
    const pixels = (side / 2 ** levelOf(name, last)) ** 2;
    if (name.endsWith("to_q.weight")) flops += 4 * pixels ** 2 * shape[0]; // scores, and the values they weigh
    if (shape.length > 1) flops += 2 * weights * (name.includes("time_emb") ? 1 : pixels);
  }
  return flops;
}

/** How often the picture was halved where this weight works. */
function levelOf(name: string, last: number): number {
  const [, way, block] = name.match(/^(down|up)_blocks\.(\d+)/) ?? [];
  if (!way) return name.startsWith("mid") ? last : 0;
  const level = way === "down" ? Number(block) : last - Number(block);
  if (name.includes("downsamplers")) return level + 1;
  return name.includes("upsamplers") ? level - 1 : level;
}

/** Names and shapes of the weights, in diffusers' words. */
export function* parameters(): Generator<Entry> {
  const { block_out_channels: channels, layers_per_block, in_channels, out_channels } = CELEBAHQ;
  const time = 4 * channels[0];
  const last = channels.length - 1;
  yield* conv("conv_in", in_channels, channels[0]);
  yield* dense("time_embedding.linear_1", channels[0], time);
  yield* dense("time_embedding.linear_2", time, time);

  const skips = [channels[0]];
  let C = channels[0];
  for (const [i, type] of CELEBAHQ.down_block_types.entries()) {
    const block = `down_blocks.${i}`;
    for (let j = 0; j < layers_per_block; j++) {
      yield* resnet(`${block}.resnets.${j}`, C, channels[i], time);
      if (type.startsWith("Attn")) yield* attention(`${block}.attentions.${j}`, channels[i]);
      skips.push(C = channels[i]);
    }
    if (i === last) continue;
    yield* conv(`${block}.downsamplers.0.conv`, C, C);
    skips.push(C);
  }

  yield* resnet("mid_block.resnets.0", C, C, time);
  yield* attention("mid_block.attentions.0", C);
  yield* resnet("mid_block.resnets.1", C, C, time);

  for (const [i, type] of CELEBAHQ.up_block_types.entries()) {
    const block = `up_blocks.${i}`;
    for (let j = 0; j <= layers_per_block; j++) {
      yield* resnet(`${block}.resnets.${j}`, C + skips.pop()!, channels[last - i], time);
      C = channels[last - i];
      if (type.startsWith("Attn")) yield* attention(`${block}.attentions.${j}`, C);
    }
    if (i < last) yield* conv(`${block}.upsamplers.0.conv`, C, C);
  }
  yield* norm("conv_norm_out", C);
  yield* conv("conv_out", C, out_channels);
}

function* resnet(name: string, from: number, to: number, time: number): Generator<Entry> {
  yield* norm(`${name}.norm1`, from);
  yield* conv(`${name}.conv1`, from, to);
  yield* dense(`${name}.time_emb_proj`, time, to);
  yield* norm(`${name}.norm2`, to);
  yield* conv(`${name}.conv2`, to, to);
  if (from !== to) yield* layer(`${name}.conv_shortcut`, to, [from, 1, 1]);
}

function* attention(name: string, channels: number): Generator<Entry> {
  yield* norm(`${name}.group_norm`, channels);
  for (const part of ["to_q", "to_k", "to_v", "to_out.0"]) {
    yield* dense(`${name}.${part}`, channels, channels);
  }
}

const conv = (name: string, from: number, to: number) => layer(name, to, [from, 3, 3]);
const dense = (name: string, from: number, to: number) => layer(name, to, [from]);
const norm = (name: string, channels: number) => layer(name, channels, []);

function* layer(name: string, to: number, rest: number[]): Generator<Entry> {
  yield [`${name}.weight`, [to, ...rest]];
  yield [`${name}.bias`, [to]];
}
