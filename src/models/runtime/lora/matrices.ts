import { bytesOf, type DType } from "../../../core/dtype.ts";
import { type Shape, size, usualStrides } from "../../../core/shape.ts";
import type { Device } from "../../../gpu/device.ts";
import { Leaf } from "../../../graph/node.ts";
import type { Checkpoint, TensorInfo } from "../../../io/formats/checkpoint.ts";
import type { Placement } from "../../../io/lora/match.ts";
import { upload, type UploadProgress } from "../../../io/upload/upload.ts";
import { cat, Tensor } from "../../../tensor/mod.ts";
import { expectUnchanged } from "../model_source.ts";

/** What one adapter adds to one layer. */
export interface AdapterPart {
  /** [R, K], of a convolution [R, C, kh, kw]. */
  readonly down: Tensor;
  /** [N, R], of a convolution [N, R, 1, 1]; not computed yet where its halves change places. */
  readonly up: Tensor;
  /** Of the product at scale 1. */
  readonly factor: number;
}

/** An adapter in GPU memory. */
export interface BroughtParts {
  /** By layer. */
  readonly parts: ReadonlyMap<string, AdapterPart>;
  /** Frees the memory. */
  release(): void;
}

/** How to bring the parts. */
export interface BringOptions {
  label: string;
  dtype: DType;
  /** Of the weights of the layers. */
  shapes: ReadonlyMap<string, Shape>;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: UploadProgress) => void) | undefined;
}

/** Reads the matrices of placements into GPU memory; layers that a file has fused share their down. */
export async function bringParts(
  device: Device,
  placements: readonly Placement[],
  checkpoint: Checkpoint,
  { label, dtype, shapes, signal, onProgress }: BringOptions,
): Promise<BroughtParts> {
  const leaves = new Map<TensorInfo, Leaf>();
  const leafOf = (info: TensorInfo) => {
    if (!leaves.has(info)) leaves.set(info, new Leaf(dtype, size(info.shape), info.name));
    return leaves.get(info)!;
  };
  const parts = placements.map((placement): [string, AdapterPart] => {
    const { pair: { down, up, rank, factor }, layer, first, rows, swapped } = placement;
    const [, ...inner] = shapes.get(layer)!; // a dense layer's [K], a convolution's [C, kh, kw]
    const view = (info: TensorInfo, shape: Shape) => {
      return new Tensor(device, leafOf(info), shape, usualStrides(shape), 0);
    };
    const whole = view(up, [up.shape[0]!, rank, ...inner.slice(1).map(() => 1)]);
    const own = whole.slice(0, first, first + rows);
    return [layer, {
      down: view(down, [rank, ...inner]),
      up: swapped ? cat(own.chunk(2).toReversed()) : own,
      factor,
    }];
  });
  for (const info of leaves.keys()) expectUnchanged(checkpoint, info, label);
  const fillings = [...leaves].map(([info, leaf]) => ({ info, leaf }));
  const { release, notFinite } = await upload(device, checkpoint, fillings, { label, signal, onProgress });
  if (notFinite.length === 0) return { parts: new Map(parts), release };
  release();
  throw new RangeError(
    `Cannot load ${label}: ${notFinite.length} tensors hold NaN or infinity, e.g. "${
      notFinite[0]
    }"; its training failed`,
  );
}

/** Bytes that the matrices of placements take in memory. */
export function bytesOfParts(placements: readonly Placement[], dtype: DType): number {
  const infos = new Set(placements.flatMap(({ pair }) => [pair.down, pair.up]));
  return [...infos].reduce((sum, { shape }) => sum + size(shape) * bytesOf(dtype), 0);
}
