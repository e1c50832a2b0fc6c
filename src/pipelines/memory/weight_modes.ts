import type { PackedDType } from "../../core/dtype.ts";
import { Autoencoder, FluxTransformer2DModel, type Model } from "../../models/mod.ts";

/**
 * A way to keep a model's weights: as they are loaded; the same in parts, which take turns in a run; in fewer
 * bits, whole or in parts; or on the disk, from where they are read at every use.
 */
export type WeightMode =
  | "whole"
  | "in parts"
  | "int8"
  | "int8 in parts"
  | "int4"
  | "int4 in parts"
  | "streamed";

/** Bytes that a model takes with its adapters and its work, where its weights lie in such a way. */
export interface Footprint {
  readonly mode: WeightMode;
  readonly bytes: number;
}

/** Bytes of what is small: staging, uniforms, latents. */
export const SMALL_BUFFERS = 64 << 20;

const MODES: readonly WeightMode[] = ["whole", "int8", "int4", "streamed"];
const FLUX_MODES: readonly WeightMode[] = [
  "whole",
  "in parts",
  "int8",
  "int8 in parts",
  "int4",
  "int4 in parts",
  "streamed",
];
const FLUX_PARTS = ["condition", "step"]; // entry points: a run needs the first before its loop, then the other
const VAE_MODES: readonly WeightMode[] = ["whole", "streamed"]; // convolutions gain nothing by fewer bits

/**
 * A model's footprint in each mode, in the order in which they are tried. The whole is exact, and so are parts, each of
 * which is loaded once a run. Fewer bits come before the disk: streaming is exact too, but every step waits for all
 * weights.
 */
export function footprintsOf(model: Model, activations: number): Footprint[] {
  const modes = model instanceof Autoencoder
    ? VAE_MODES
    : model instanceof FluxTransformer2DModel
    ? FLUX_MODES
    : MODES;
  const others = othersOf(model, activations);
  return modes.map((mode) => ({ mode, bytes: weightBytes(model, mode) + others }));
}

/**
 * Bytes of memory for each model that works beside a first one, by the footprints of all, so that the worst of their modes is
 * the best that there is room for: all exact, else none below int8, else none below int4, else from the disk.
 */
export function roomsBeside(
  first: readonly Footprint[],
  beside: readonly (readonly Footprint[])[],
  memory: number,
): number[] {
  let rooms: number[] = [];
  for (const worst of [0, 1, 2, 3]) {
    const allowed = (footprints: readonly Footprint[]) =>
      footprints.filter(({ mode }) => rankOf(mode) <= worst);
    const leastOf = (footprints: readonly Footprint[]) =>
      Math.min(...allowed(footprints).map(({ bytes }) => bytes)) - SMALL_BUFFERS; // what is small is counted once
    let rest = memory - leastOf(first);
    rooms = beside.map((footprints, i) => {
      const room = rest - beside.slice(i + 1).map(leastOf).reduce((a, b) => a + b, 0);
      rest -= (allowed(footprints).find(({ bytes }) => bytes <= room)?.bytes ?? Infinity) - SMALL_BUFFERS;
      return room;
    });
    if (rest >= SMALL_BUFFERS) break; // all have found room
  }
  return rooms;
}

/** 0 for modes that are exact and stay in memory, 1 for int8, 2 for int4, 3 for the disk. */
function rankOf(mode: WeightMode): number {
  return mode === "streamed" ? 3 : mode.startsWith("int4") ? 2 : mode.startsWith("int8") ? 1 : 0;
}

function weightBytes(model: Model, mode: WeightMode): number {
  if (mode === "streamed") return model.streamedBytes;
  const format = { quantize: quantizeOf(mode), stream: undefined };
  if (!mode.endsWith("in parts")) return model.bytesAs(format);
  return Math.max(...FLUX_PARTS.map((only) => model.bytesAs(format, only)));
}

function quantizeOf(mode: WeightMode): PackedDType | undefined {
  return mode.startsWith("int8") ? "int8" : mode.startsWith("int4") ? "int4" : undefined;
}

/** Bytes of a model without its weights. */
function othersOf(model: Model, activations: number): number {
  return model.adapters.bytes + activations + SMALL_BUFFERS;
}

/**
 * Stores a model, if it may be, in the first mode in which it fits in `memory` with its work; where it fits in none, in
 * the smallest that is exact.
 */
export function storeToFit(model: Model, activations: number, memory: number): void {
  if (!model.isFlexible) return;
  const footprints = footprintsOf(model, activations);
  const exact = footprints.filter(({ mode }) => quantizeOf(mode) === undefined);
  const smallest = exact.reduce((a, b) => a.bytes <= b.bytes ? a : b);
  const { mode } = footprints.find(({ bytes }) => bytes <= memory) ?? smallest;
  const [quantize, isStreamed] = [quantizeOf(mode), mode === "streamed"];
  const isSo = model.quantize === quantize && model.isStreamed === isStreamed;
  if (isSo && (!isStreamed || model.bytes <= memory - othersOf(model, activations))) return;
  model.store({ quantize, stream: isStreamed ? kept(model, activations, memory) : undefined });
}

/** Streams a model from now on, whatever is known of the memory: in `memory` bytes, which the GPU was found to have. */
export function forceStream(model: Model, memory: number): void {
  model.isFlexible = false;
  model.store({ stream: kept(model, model.workspace, model.isStreamed ? 0 : memory) });
}

/** Bytes of weights that stay in memory while the others are streamed, so that the model fits in `memory`. */
function kept(model: Model, activations: number, memory: number): { keep: number } {
  return { keep: Math.max(0, memory - model.streamedBytes - othersOf(model, activations)) };
}
