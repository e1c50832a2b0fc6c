import type { PackedDType } from "../../core/dtype.ts";
import { AutoencoderKL, FluxTransformer2DModel, type Model } from "../../models/mod.ts";

/**
 * How a model's weights can lie: as they are loaded by default; the same in parts, which take turns in a run;
 * in fewer bits, whole or in parts; or on the disk, from where they come.
 */
export type Storage =
  | "whole"
  | "in parts"
  | "int8"
  | "int8 in parts"
  | "int4"
  | "int4 in parts"
  | "streamed";

/** A way to store a model, and the bytes that it then takes with its work. */
export interface Way {
  readonly storage: Storage;
  readonly bytes: number;
}

/** Bytes of what is small: staging, uniforms, latents. */
export const BESIDES = 64 << 20;

const ORDER: readonly Storage[] = ["whole", "int8", "int4", "streamed"];
const FLUX: readonly Storage[] = [
  "whole",
  "in parts",
  "int8",
  "int8 in parts",
  "int4",
  "int4 in parts",
  "streamed",
];
const FLUX_PARTS = ["condition", "step"]; // entry points: a run needs the first before its loop, then the other
const CODER: readonly Storage[] = ["whole", "streamed"]; // convolutions gain nothing by fewer bits

/**
 * What a model and its adapters take in each way of storing it, in the order in which they are tried. The whole is exact, and
 * so are parts, each of which is loaded once a run. Fewer bits come before the disk: streaming is exact too, but
 * every step waits for all weights.
 */
export function waysOf(model: Model, activations: number): Way[] {
  return orderOf(model).map((storage) => ({
    storage,
    bytes: weightBytes(model, storage) + othersOf(model, activations),
  }));
}

function orderOf(model: Model): readonly Storage[] {
  if (model instanceof AutoencoderKL) return CODER;
  return model instanceof FluxTransformer2DModel ? FLUX : ORDER;
}

function weightBytes(model: Model, storage: Storage): number {
  if (storage === "streamed") return model.streamedBytes;
  const format = { quantize: quantizeOf(storage), stream: undefined };
  if (!storage.endsWith("in parts")) return model.bytesAs(format);
  return Math.max(...FLUX_PARTS.map((only) => model.bytesAs(format, only)));
}

function quantizeOf(storage: Storage): PackedDType | undefined {
  return storage.startsWith("int8") ? "int8" : storage.startsWith("int4") ? "int4" : undefined;
}

/** How models lie that may be stored otherwise where memory is short. */
const flexible = new WeakMap<Model, PackedDType | "streamed" | undefined>();

/** Says that nobody asked for a way in which a model is to be stored. */
export function makeFlexible(model: Model): void {
  flexible.set(model, undefined);
}

/**
 * Stores a model, if it may be, in the first way in which it fits in `memory` with its work; where it fits in none, in
 * the smallest that is exact.
 */
export function fit(model: Model, activations: number, memory: number): void {
  if (!flexible.has(model)) return;
  const ways = waysOf(model, activations);
  const exact = ways.filter(({ storage }) => quantizeOf(storage) === undefined);
  const least = exact.reduce((a, b) => a.bytes <= b.bytes ? a : b);
  const { storage } = ways.find(({ bytes }) => bytes <= memory) ?? least;
  const wanted = storage === "streamed" ? storage : quantizeOf(storage);
  const now = flexible.get(model);
  if (now === wanted && (wanted !== "streamed" || model.bytes <= memory - othersOf(model, activations))) {
    return;
  }
  if (wanted === "streamed") model.store({ quantize: undefined, stream: kept(model, activations, memory) });
  else model.store({ quantize: wanted, stream: undefined });
  flexible.set(model, wanted);
}

/** How much of a model's weights stays in memory where the others come from the disk, so that it fits in `memory`. */
function kept(model: Model, activations: number, memory: number): { keep: number } {
  return { keep: Math.max(0, memory - model.streamedBytes - othersOf(model, activations)) };
}

/** Streams a model from now on, whatever is known of the memory: in `memory` bytes, which the GPU was found to have. */
export function forceStream(model: Model, memory: number): void {
  flexible.delete(model);
  model.store({ stream: kept(model, model.workspace, model.isStreamed ? 0 : memory) });
}

/** Bytes beside a model's weights. */
function othersOf(model: Model, activations: number): number {
  return model.adapters.bytes + activations + BESIDES;
}
