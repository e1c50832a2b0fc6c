import { type FluxTimeText, type FluxTimeTextEmbed, fluxTimeTextEmbed } from "./time_text_embed.ts";
import { dense, type Layer } from "../../nn/layers.ts";
import { silu } from "../../ops/mod.ts";
import { cat, named, release, type Tensor } from "../../tensor/mod.ts";
import { type FluxTransformer2DConfig, innerDim } from "./config.ts";

/**
 * Weights of what all blocks are told: those that `condition` reads, and a forward with its results does not.
 */
export interface FluxModulationWeights {
  time_text_embed: FluxTimeTextEmbed;
  transformer_blocks: { norm1: { linear: Layer }; norm1_context: { linear: Layer } }[];
  single_transformer_blocks: { norm: { linear: Layer } }[];
  norm_out: { linear: Layer };
}

/** One layer that turns what is known of time and prompt into shifts, scales and gates. */
interface ModulationLayer {
  /** Its path in the model. */
  readonly path: string;
  /** Width of its result. */
  readonly width: number;
  readonly of: (w: FluxModulationWeights) => Layer;
}

/** In the order in which their results lie side by side. */
function modulationLayers(config: FluxTransformer2DConfig): ModulationLayer[] {
  const D = innerDim(config);
  const layers: ModulationLayer[] = [];
  const add = (path: string, width: number, of: ModulationLayer["of"]) => layers.push({ path, width, of });
  for (let i = 0; i < config.num_layers; i++) {
    add(`transformer_blocks.${i}.norm1`, 6 * D, (w) => w.transformer_blocks[i]!.norm1.linear);
    add(`transformer_blocks.${i}.norm1_context`, 6 * D, (w) => w.transformer_blocks[i]!.norm1_context.linear);
  }
  for (let i = 0; i < config.num_single_layers; i++) {
    add(`single_transformer_blocks.${i}.norm`, 3 * D, (w) => w.single_transformer_blocks[i]!.norm.linear);
  }
  add("norm_out", 2 * D, (w) => w.norm_out.linear);
  return layers;
}

/** Values of a step's modulation: 1,056,768 in FLUX.1. */
export function modulationWidth(config: FluxTransformer2DConfig): number {
  return modulationLayers(config).reduce((sum, { width }) => sum + width, 0);
}

/** What each layer tells, by its path; rows [R, its width]. */
export type FluxVectors = ReadonlyMap<string, Tensor>;

/**
 * What all blocks are told, in f32, for several steps at once, as each weight is then read once. time
 * [S, 1 or B, 256], guidance [1, B, 256], pooled [1, B, P] → rows [S · B, width] of each layer in turn.
 */
export function* fluxVectors(
  told: FluxTimeText,
  w: FluxModulationWeights,
  config: FluxTransformer2DConfig,
): Generator<[path: string, rows: Tensor], void, void> {
  const D = innerDim(config);
  const embed = () => fluxTimeTextEmbed(told, w.time_text_embed, D).reshape([-1, D]);
  const temb = silu(named("time_text_embed", embed));
  for (const { path, width, of } of modulationLayers(config)) {
    yield [path, named(`${path}.linear`, () => dense(temb, of(w), width), [temb])];
  }
}

/** The vectors side by side. → [R, total] */
export function joinVectors(vectors: Iterable<[path: string, rows: Tensor]>): Tensor {
  return joinColumns(Iterator.from(vectors).map(([, rows]) => rows));
}

const MOST = 6; // that one dispatch joins

/**
 * In a tree, as a chain would copy what is joined already again and again;
 * in turn, so that parts need not all be there.
 */
function joinColumns(parts: Iterable<Tensor>): Tensor {
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

/** What `joinVectors` made of one step. joined [B, total] */
export function splitVectors(joined: Tensor, config: FluxTransformer2DConfig): FluxVectors {
  const layers = modulationLayers(config);
  const parts = joined.split(layers.map(({ width }) => width), 1);
  return new Map(layers.map(({ path }, i) => [path, parts[i]!]));
}

/** What the blocks of a FLUX model are told at each step of a loop. */
export class FluxModulation implements Disposable {
  /** Of consecutive steps [steps · B, total] each. */
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
    release(...this.#parts);
  }
}
