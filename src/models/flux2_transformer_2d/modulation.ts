import { project, type Projection } from "../../nn/layers.ts";
import { silu } from "../../ops/mod.ts";
import { named, type Tensor } from "../../tensor/mod.ts";
import type { Flux2Transformer2DInputs } from "./inputs.ts";

/** Weights that make the modulation, which all blocks of a kind share. */
export interface Flux2ModulationWeights {
  time_guidance_embed: {
    timestep_embedder: Embedder;
    /** In models that were distilled with guidance (dev). */
    guidance_embedder?: Embedder | undefined;
  };
  double_stream_modulation_img: { linear: Projection };
  double_stream_modulation_txt: { linear: Projection };
  single_stream_modulation: { linear: Projection };
  norm_out: { linear: Projection };
}

/** Weights of the layers behind sinusoidal features, which have no biases. */
interface Embedder {
  linear_1: Projection;
  linear_2: Projection;
}

/** Shifts, scales and gates of a step, in f32; of rows [B, width] each. */
export interface Flux2Modulation {
  /** Shift, scale and gate of attention, then of the feed-forward layer, for the picture's stream. [B, 6 D] */
  readonly img: Tensor;
  /** The same for the text's stream. [B, 6 D] */
  readonly txt: Tensor;
  /** Shift, scale and gate of blocks with one stream. [B, 3 D] */
  readonly single: Tensor;
  /** Scale and shift of the last norm. [B, 2 D] */
  readonly out: Tensor;
}

/** The modulation by features of times and guidance [B, K], for streams of width D. */
export function flux2Modulation(
  { time, guidance }: Pick<Flux2Transformer2DInputs, "time" | "guidance">,
  w: Flux2ModulationWeights,
  D: number,
): Flux2Modulation {
  const embed = (name: keyof Flux2ModulationWeights["time_guidance_embed"], x: Tensor) =>
    named(name, () => embedding(x, w.time_guidance_embed[name]!, D), [x]);
  const temb = silu(named("time_guidance_embed", () => {
    const sum = embed("timestep_embedder", time);
    return guidance ? sum.add(embed("guidance_embedder", guidance)) : sum;
  }));
  const layer = (name: Exclude<keyof Flux2ModulationWeights, "time_guidance_embed">, sets: number) =>
    named(name, () => project(temb, w[name].linear, sets * D), [temb]);
  return {
    img: layer("double_stream_modulation_img", 6),
    txt: layer("double_stream_modulation_txt", 6),
    single: layer("single_stream_modulation", 3),
    out: named("norm_out.linear", () => project(temb, w.norm_out.linear, 2 * D), [temb]),
  };
}

/** The embedding of features [B, K] → [B, D]. */
function embedding(x: Tensor, w: Embedder, D: number): Tensor {
  return project(silu(project(x, w.linear_1, D)), w.linear_2, D);
}
