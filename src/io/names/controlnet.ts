import type { TensorInfo } from "../formats/stored_tensor.ts";
import { countOf, type Infos, renamed, shapeOf } from "./keys.ts";
import { labels, ldmUnetView, transformersOfUnet } from "./ldm_unet.ts";

/**
 * ControlNets in single files: under the names of their own code (lllyasviel/ControlNet, cldm.py), where the
 * way down has the names of LDM's UNet, or under diffusers' names, without a config.
 */

const WHAT = "a ControlNet";

/** The tensors under diffusers' names. */
export function controlNetView<T extends TensorInfo>(
  tensors: ReadonlyMap<string, T>,
  prefix: string,
): Map<string, T> {
  const isOwn = tensors.has(`${prefix}input_hint_block.0.weight`);
  if (!isOwn) return renamed(tensors, prefix, (key) => key);
  const hints = countOf(tensors, `${prefix}input_hint_block.`);
  return renamed(ldmUnetView(tensors, prefix), "", (key) => {
    const [, list, number, rest] = /^(input_hint_block|zero_convs)\.(\d+)(\..+)$/.exec(key) ?? [];
    if (list === "zero_convs") return `controlnet_down_blocks.${number}${rest!.replace(/^\.0/, "")}`;
    if (list) return hintName(Number(number), hints) + rest;
    return key.replace(/^middle_block_out\.0/, "controlnet_mid_block");
  });
}

/** A layer of the picture's features; behind each but the last is an activation. */
function hintName(number: number, count: number): string {
  const layer = number === 0 ? "conv_in" : number === count - 1 ? "conv_out" : `blocks.${number / 2 - 1}`;
  return `controlnet_cond_embedding.${layer}`;
}

/** A ControlNetModel's config, from keys and shapes. */
export function controlNetConfig(tensors: Infos, prefix: string): Record<string, unknown> {
  const own = controlNetView(tensors, prefix);
  const shape = (key: string) => shapeOf(own, key, WHAT);
  const blocks = Array.from({ length: countOf(own, "down_blocks.") }, (_, i) => `down_blocks.${i}`);
  const picture = "controlnet_cond_embedding";
  const widths = Array.from(
    { length: countOf(own, `${picture}.blocks.`) / 2 },
    (_, i) => shape(`${picture}.blocks.${2 * i + 1}.weight`)[0],
  );
  return {
    _class_name: "ControlNetModel",
    in_channels: shape("conv_in.weight")[1],
    conditioning_channels: shape(`${picture}.conv_in.weight`)[1],
    conditioning_embedding_out_channels: [shape(`${picture}.conv_in.weight`)[0], ...widths],
    layers_per_block: countOf(own, "down_blocks.0.resnets."),
    ...transformersOfUnet(own, blocks, WHAT),
    ...labels(own),
  };
}
