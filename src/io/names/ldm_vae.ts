import type { StoredTensor } from "../formats/stored_tensor.ts";
import { asMatrix } from "../formats/stored_view.ts";
import { countOf, type Infos, renamed, shapeOf, type Stored, valueIn } from "./keys.ts";

/**
 * The autoencoder of latent diffusion under the names of its own code (CompVis/latent-diffusion, model.py),
 * whose decoder counts its levels from the widest picture, diffusers' from the smallest.
 */

const WHAT = "the VAE";

/** An AutoencoderKL's config, from keys and shapes. */
export function ldmVaeConfig(tensors: Infos, prefix: string): Record<string, unknown> {
  const shape = (key: string) => shapeOf(tensors, prefix + key, WHAT);
  const levels = countOf(tensors, `${prefix}encoder.down.`);
  const list = Array.from({ length: levels }, (_, i) => i);
  return {
    _class_name: "AutoencoderKL",
    in_channels: shape("encoder.conv_in.weight")[1],
    out_channels: shape("decoder.conv_out.weight")[0],
    block_out_channels: list.map((i) => shape(`encoder.down.${i}.block.0.conv1.weight`)[0]),
    down_block_types: list.map(() => "DownEncoderBlock2D"),
    up_block_types: list.map(() => "UpDecoderBlock2D"),
    layers_per_block: countOf(tensors, `${prefix}encoder.down.0.block.`),
    latent_channels: shape("decoder.conv_in.weight")[1],
    use_quant_conv: tensors.has(`${prefix}quant_conv.weight`),
    use_post_quant_conv: tensors.has(`${prefix}post_quant_conv.weight`),
    mid_block_add_attention: tensors.has(`${prefix}decoder.mid.attn_1.q.weight`),
  };
}

/** Layers of attention in diffusers' names; their 1×1 convolutions become matrices. */
const ATTENTION: Record<string, string> = {
  norm: "group_norm",
  q: "to_q",
  k: "to_k",
  v: "to_v",
  proj_out: "to_out.0",
};

/** The tensors of an autoencoder under diffusers' names. */
export function ldmVaeView(tensors: Stored, prefix: string): Map<string, StoredTensor> {
  const levels = countOf(tensors, `${prefix}decoder.up.`);
  return renamed(tensors, prefix, (key, tensor) => {
    if (/^(post_)?quant_conv\./.test(key)) return key;
    const [, coder, rest] = /^(encoder|decoder)\.(.*)$/.exec(key) ?? [];
    if (!coder) return undefined; // weights of the training loss
    const name = rest!
      .replace(/^norm_out\./, "conv_norm_out.")
      .replace(/^down\.(\d+)\.block\./, "down_blocks.$1.resnets.")
      .replace(/^down\.(\d+)\.downsample\./, "down_blocks.$1.downsamplers.0.")
      .replace(/^up\.(\d+)\.block\./, (_, i) => `up_blocks.${levels - 1 - i}.resnets.`)
      .replace(/^up\.(\d+)\.upsample\./, (_, i) => `up_blocks.${levels - 1 - i}.upsamplers.0.`)
      .replace(/^mid\.block_(\d)\./, (_, i) => `mid_block.resnets.${i - 1}.`)
      .replace(
        /^mid\.attn_1\.(\w+)\./,
        (_, layer) => `mid_block.attentions.0.${valueIn(ATTENTION, layer) ?? layer}.`,
      )
      .replace(/\.nin_shortcut\./, ".conv_shortcut.");
    const view = rest!.startsWith("mid.attn_1.") ? asMatrix(tensor) : tensor;
    return { ...view, name: `${coder}.${name}` };
  });
}
