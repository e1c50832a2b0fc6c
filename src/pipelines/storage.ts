import { AutoencoderKL, type Model } from "../models/mod.ts";

/** How a model's weights can lie: as they are loaded by default, in fewer bits, or on the disk, from where they come. */
export type Storage = "whole" | "int8" | "int4" | "streamed";

/** A way to store a model, and the bytes that it then takes with its work. */
export interface Way {
  readonly storage: Storage;
  readonly bytes: number;
}

/** Bytes of what is small: staging, uniforms, latents. */
export const BESIDES = 64 << 20;

const ORDER: readonly Storage[] = ["whole", "int8", "int4", "streamed"];
const CODER: readonly Storage[] = ["whole", "streamed"]; // convolutions gain nothing by fewer bits

/**
 * What a model takes in each way of storing it, in the order in which they are tried. The whole is exact. Fewer bits come
 * before the disk: streaming is exact too, but every step waits for all weights.
 */
export function waysOf(model: Model, activations: number): Way[] {
  const ways = model instanceof AutoencoderKL ? CODER : ORDER;
  return ways.map((storage) => ({ storage, bytes: weightBytes(model, storage) + activations + BESIDES }));
}

function weightBytes(model: Model, storage: Storage): number {
  switch (storage) {
    case "whole":
      return model.bytesAs({ quantize: undefined });
    case "streamed":
      return model.streamedBytes;
    default:
      return model.bytesAs({ quantize: storage });
  }
}
