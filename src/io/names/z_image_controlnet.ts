import type { Checkpoint } from "../formats/checkpoint.ts";
import { size } from "../../core/shape.ts";
import { countOf, type Infos, renamed, shapeOf, type Stored } from "./keys.ts";
import type { StoredTensor } from "../formats/stored_tensor.ts";

/**
 * ControlNets of Z-Image in single files, as alibaba-pai publishes them (Z-Image-Turbo-Fun-Controlnet-Union): under
 * diffusers' names, without a config.
 */

const WHAT = "a ControlNet of Z-Image";
const LAYERS = 30; // of every Z-Image transformer

/** A ZImageControlNetModel's config, from keys and shapes: its blocks are spread evenly over those of the transformer. */
export function zImageControlNetConfig(tensors: Infos, prefix: string): Record<string, unknown> {
  const shape = (key: string) => shapeOf(tensors, prefix + key, WHAT);
  const [dim, patch] = shape("control_all_x_embedder.2-1.weight") as [number, number];
  const count = countOf(tensors, `${prefix}control_layers.`);
  const norm = tensors.get(`${prefix}control_layers.0.attention.norm_q.weight`);
  const n_heads = dim / (norm?.shape[0] ?? 128);
  const adds = tensors.has(`${prefix}control_noise_refiner.0.after_proj.weight`);
  const refiners = countOf(tensors, `${prefix}control_noise_refiner.`);
  const kind = adds ? "control_noise_refiner" : refiners === 0 ? "control_layers" : undefined;
  const every = Math.round(LAYERS / count);
  return {
    _class_name: "ZImageControlNetModel",
    control_layers_places: Array.from({ length: count }, (_, i) => i * every),
    control_in_dim: patch / 4,
    ...kind && {
      control_refiner_layers_places: Array.from({ length: refiners || 2 }, (_, i) => i),
      add_control_noise_refiner: kind,
    },
    all_patch_size: [2],
    all_f_patch_size: [1],
    dim,
    n_refiner_layers: refiners || 2,
    n_heads,
    n_kv_heads: n_heads,
    norm_eps: 1e-5,
    qk_norm: norm !== undefined,
  };
}

const SOME = 4096; // numbers of a matrix that tell whether it was trained

/** The same of version 2.0, whose files have a control_noise_refiner that was never trained, and is not read. */
export async function zImageControlNetValues(
  checkpoint: Checkpoint,
  prefix: string,
): Promise<Record<string, unknown>> {
  const info = checkpoint.tensors.get(`${prefix}control_noise_refiner.0.before_proj.weight`);
  if (!info) return {};
  const bytes = await checkpoint.read(info, 0, Math.min(SOME, size(info.shape)));
  return bytes.every((byte) => byte === 0) ? { add_control_noise_refiner: "control_layers" } : {};
}

const ROOTS = /^control_(layers|noise_refiner|all_x_embedder)\./;

/** The tensors of a ControlNet of Z-Image. */
export function zImageControlNetView(tensors: Stored, prefix: string): Map<string, StoredTensor> {
  return renamed(tensors, prefix, (key) => ROOTS.test(key) ? key : undefined);
}
