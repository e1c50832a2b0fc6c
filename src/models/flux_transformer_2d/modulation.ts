import { dense, type Layer } from "../../nn/layers.ts";
import { type TimestepEmbedding, timestepEmbeddingMLP } from "../../nn/time_embedding.ts";
import { silu } from "../../ops/mod.ts";
import { cat, free, named, type Tensor } from "../../tensor/mod.ts";
import { type FluxBlockCounts, innerDim } from "./config.ts";

/** Weights that make the modulation of blocks. */
export interface FluxBlockModulationWeights {
  time_text_embed: FluxTimeTextEmbed;
  transformer_blocks: { norm1: { linear: Layer }; norm1_context: { linear: Layer } }[];
  single_transformer_blocks: { norm: { linear: Layer } }[];
}

/** The same for a whole transformer: `condition` reads them, and a `forward` with its results does not. */
export interface FluxModulationWeights extends FluxBlockModulationWeights {
  norm_out: { linear: Layer };
}

/** Weights of the embedding of time, guidance and the prompt as a whole. */
interface FluxTimeTextEmbed {
  timestep_embedder: TimestepEmbedding;
  /** In models that were distilled with guidance (dev). */
  guidance_embedder?: TimestepEmbedding | undefined;
  text_embedder: TimestepEmbedding;
}

/** Features of times and guidance [.., 256] and pooled prompts [.., P], whose leading axes broadcast. */
export type FluxConditioning = {
  time: Tensor;
  guidance?: Tensor;
  pooled: Tensor;
};

/** One layer that makes shifts, scales and gates of the embedding. */
interface ModulationLayer<W> {
  /** Its norm's path in the model. */
  readonly path: string;
  /** Width of its result. */
  readonly width: number;
  readonly linear: (w: W) => Layer;
}

/** Those of a transformer, in the order in which their results lie side by side. */
export function modulationLayers(config: FluxBlockCounts): ModulationLayer<FluxModulationWeights>[] {
  const path = "norm_out";
  return [...blockLayers(config), { path, width: 2 * innerDim(config), linear: (w) => w.norm_out.linear }];
}

/** Those of its blocks, which are all that a ControlNet has. */
export function blockLayers(config: FluxBlockCounts): ModulationLayer<FluxBlockModulationWeights>[] {
  const D = innerDim(config);
  const layers: ModulationLayer<FluxBlockModulationWeights>[] = [];
  const add = (path: string, width: number, linear: (w: FluxBlockModulationWeights) => Layer) =>
    layers.push({ path, width, linear });
  for (let i = 0; i < config.num_layers; i++) {
    add(`transformer_blocks.${i}.norm1`, 6 * D, (w) => w.transformer_blocks[i]!.norm1.linear);
    add(`transformer_blocks.${i}.norm1_context`, 6 * D, (w) => w.transformer_blocks[i]!.norm1_context.linear);
  }
  for (let i = 0; i < config.num_single_layers; i++) {
    add(`single_transformer_blocks.${i}.norm`, 3 * D, (w) => w.single_transformer_blocks[i]!.norm.linear);
  }
  return layers;
}

/** Values of a step's modulation: 1,056,768 in FLUX.1. */
export function modulationWidth(config: FluxBlockCounts): number {
  return modulationLayers(config).reduce((sum, { width }) => sum + width, 0);
}

/** Shifts, scales and gates that the norms of the model take, by their paths; rows [R, width] each. */
export type FluxNormModulations = ReadonlyMap<string, Tensor>;

/**
 * The modulation in f32, for several steps at once, as each weight is then read once. time [S, 1 or B, 256],
 * guidance [1, B, 256], pooled [1, B, P] → rows [S · B, width] of each layer in turn.
 */
export function* modulations<W extends FluxBlockModulationWeights>(
  inputs: FluxConditioning,
  w: W,
  layers: readonly ModulationLayer<W>[],
  D: number,
): Generator<[path: string, rows: Tensor], void, void> {
  const embed = () => timeTextEmbed(inputs, w.time_text_embed, D).reshape([-1, D]);
  const temb = silu(named("time_text_embed", embed));
  for (const { path, width, linear } of layers) {
    yield [path, named(`${path}.linear`, () => dense(temb, linear(w), width), [temb])];
  }
}

/** The sum of the embeddings of time, guidance and prompt. → [.., width] */
function timeTextEmbed(
  { time, guidance, pooled }: FluxConditioning,
  w: FluxTimeTextEmbed,
  width: number,
): Tensor {
  const embed = (name: keyof FluxTimeTextEmbed, x: Tensor) =>
    named(name, () => timestepEmbeddingMLP(x, w[name]!, width), [x]);
  let sum = embed("timestep_embedder", time);
  if (guidance) sum = sum.add(embed("guidance_embedder", guidance));
  return sum.add(embed("text_embedder", pooled));
}

const MOST = 6; // that one dispatch joins

/**
 * Joins rows side by side: in a tree, as a chain would copy the first ones again and again, and as they come, so
 * that not all need to be in memory.
 */
export function joinColumns(parts: Iterable<Tensor>): Tensor {
  const joined: Tensor[] = [];
  let group: Tensor[] = [];
  for (const part of parts) {
    if (group.length === MOST) {
      joined.push(cat(group, 1));
      group = [];
    }
    group.push(part);
  }
  joined.push(cat(group, 1));
  return joined.length === 1 ? joined[0]! : joinColumns(joined);
}

/** The modulation of one step from all of its values side by side [B, total]. */
export function splitModulation(joined: Tensor, config: FluxBlockCounts): FluxNormModulations {
  const layers = modulationLayers(config);
  const parts = joined.split(layers.map(({ width }) => width), 1);
  return new Map(layers.map(({ path }, i) => [path, parts[i]!]));
}

/** Shifts, scales and gates of a FLUX model's norms at each step of a loop, made by `condition`. */
export class FluxModulation implements Disposable {
  /** Consecutive steps [steps · B, total] each. */
  readonly #parts: readonly Tensor[];
  readonly #batch: number;

  /** For `FluxTransformer2DModel.condition`. */
  constructor(parts: readonly Tensor[], batch: number) {
    this.#parts = parts;
    this.#batch = batch;
  }

  /** Number of steps. */
  get steps(): number {
    return this.#parts.reduce((sum, part) => sum + part.shape[0]!, 0) / this.#batch;
  }

  /** One step's, for the `modulation` of `forward`. [B, total] */
  at(step: number): Tensor {
    let row = step * this.#batch;
    for (const part of this.#parts) {
      if (Number.isInteger(row) && row >= 0 && row < part.shape[0]!) {
        return part.slice(0, row, row + this.#batch);
      }
      row -= part.shape[0]!;
    }
    throw new RangeError(`Cannot take step ${step} of a modulation: expected 0 to ${this.steps - 1}`);
  }

  /** Gives the memory back, after the work that is recorded: 4 MB a step of FLUX.1. */
  [Symbol.dispose](): void {
    free(...this.#parts);
  }
}
