import { AutoencoderKL, FluxTransformer2DModel, type Model } from "../models/mod.ts";

/**
 * How a model's weights can lie: as they are loaded by default; the same in parts, which take turns in a run;
 * in fewer bits; or on the disk, from where they come.
 */
export type Storage = "whole" | "in parts" | "int8" | "int4" | "streamed";

/** A way to store a model, and the bytes that it then takes with its work. */
export interface Way {
  readonly storage: Storage;
  readonly bytes: number;
}

/** Bytes of what is small: staging, uniforms, latents. */
export const BESIDES = 64 << 20;

const ORDER: readonly Storage[] = ["whole", "int8", "int4", "streamed"];
const FLUX: readonly Storage[] = ["whole", "in parts", "int8", "int4", "streamed"];
const FLUX_PARTS = ["condition", "step"]; // entry points: a run needs the first before its loop, then the other
const CODER: readonly Storage[] = ["whole", "streamed"]; // convolutions gain nothing by fewer bits

/**
 * What a model takes in each way of storing it, in the order in which they are tried. The whole is exact, and
 * so are parts, each of which is loaded once a run. Fewer bits come before the disk: streaming is exact too, but
 * every step waits for all weights.
 */
export function waysOf(model: Model, activations: number): Way[] {
  return orderOf(model).map((storage) => ({
    storage,
    bytes: weightBytes(model, storage) + activations + BESIDES,
  }));
}

function orderOf(model: Model): readonly Storage[] {
  if (model instanceof AutoencoderKL) return CODER;
  return model instanceof FluxTransformer2DModel ? FLUX : ORDER;
}

function weightBytes(model: Model, storage: Storage): number {
  switch (storage) {
    case "whole":
      return model.bytesAs({ quantize: undefined });
    case "in parts":
      return Math.max(...FLUX_PARTS.map((only) => model.bytesAs({ quantize: undefined }, only)));
    case "streamed":
      return model.streamedBytes;
    default:
      return model.bytesAs({ quantize: storage });
  }
}
