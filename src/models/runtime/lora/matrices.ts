import { bytesOf, type DType } from "../../../core/dtype.ts";
import { type Shape, size, usualStrides } from "../../../core/shape.ts";
import type { Device } from "../../../gpu/device.ts";
import { Leaf } from "../../../graph/node.ts";
import { streamOf } from "../../../graph/run/stream.ts";
import type { Checkpoint, TensorInfo } from "../../../io/formats/checkpoint.ts";
import type { Placement } from "../../../io/lora/match.ts";
import { upload, type UploadOptions } from "../../../io/upload/upload.ts";
import { cat, retain, Tensor, zeros } from "../../../tensor/mod.ts";
import { expectUnchanged } from "../model_source.ts";

/** Both matrices of one adapter for one layer. */
export interface Pair {
  /** [R, K], of a convolution [R, C, kh, kw]. */
  readonly down: Tensor;
  /** [N, R], of a convolution [N, R, 1, 1]; not computed yet where its halves change places. */
  readonly up: Tensor;
  /** Factor of the product at scale 1. */
  readonly factor: number;
}

/** The matrices of one adapter in GPU memory. */
export interface Matrices {
  /** By layer. */
  readonly pairs: ReadonlyMap<string, Pair>;
  /** Frees the memory. */
  release(): void;
}

/** Options of reading matrices. */
export interface ReadOptions extends UploadOptions {
  readonly dtype: DType;
  /** Shapes of the layers' weights. */
  readonly shapes: ReadonlyMap<string, Shape>;
}

/** Reads the matrices of placements into GPU memory; layers that a file has fused share their down. */
export async function readMatrices(
  device: Device,
  placements: readonly Placement[],
  checkpoint: Checkpoint,
  { dtype, shapes, ...options }: ReadOptions,
): Promise<Matrices> {
  const leaves = new Map<TensorInfo, Leaf>();
  const view = (info: TensorInfo, shape: Shape) => {
    if (!leaves.has(info)) leaves.set(info, new Leaf(dtype, size(info.shape), info.name));
    return new Tensor(device, leaves.get(info)!, shape, usualStrides(shape), 0);
  };
  const pairs = placements.map((placement): [string, Pair] => {
    const { pair: { down, up, rank, factor }, layer, first, rows, swapped } = placement;
    const [, ...inner] = shapes.get(layer)!; // a dense layer's [K], a convolution's [C, kh, kw]
    const whole = view(up, [up.shape[0]!, rank, ...inner.slice(1).map(() => 1)]);
    const own = whole.slice(0, first, first + rows);
    return [layer, {
      down: view(down, [rank, ...inner]),
      up: swapped ? cat(own.chunk(2).toReversed()) : own,
      factor,
    }];
  });
  const { label } = options;
  for (const info of leaves.keys()) expectUnchanged(checkpoint, info, label);
  const fillings = [...leaves].map(([info, leaf]) => ({ info, leaf }));
  const { release, notFinite } = await upload(device, checkpoint, fillings, options);
  if (notFinite.length === 0) return { pairs: new Map(pairs), release };
  release();
  throw new RangeError(
    `Cannot load ${label}: ${notFinite.length} tensors hold NaN or infinity, e.g. "${
      notFinite[0]
    }"; its training failed`,
  );
}

/** Bytes that the matrices of placements take in memory. */
export function bytesOfMatrices(placements: readonly Placement[], dtype: DType): number {
  const infos = new Set(placements.flatMap(({ pair }) => [pair.down, pair.up]));
  return [...infos].reduce((sum, { shape }) => sum + size(shape) * bytesOf(dtype), 0);
}

/** All adapters of one layer, joined along their ranks. */
export interface Joined {
  readonly pairs: readonly Pair[];
  /** [ΣR, K], of a convolution [ΣR, C, kh, kw]. */
  readonly down: Tensor;
  /** [N, ΣR], of a convolution [N, ΣR, 1, 1]. */
  readonly up: Tensor;
  /** Whose ranks these are, in order, and what their products are multiplied by at scale 1. */
  readonly factors: readonly { name: string; rank: number; factor: number }[];
  /** Frees what was made for joining. */
  release(): void;
}

/**
 * Joins the pairs that adapters have for each layer, of which `shapes` tells the weight's; what `before` has of the same
 * pairs is taken over.
 */
export async function joinMatrices(
  device: Device,
  adapters: Iterable<readonly [name: string, Matrices]>,
  before: ReadonlyMap<string, Joined>,
  shapes: (layer: string) => Shape,
): Promise<ReadonlyMap<string, Joined>> {
  const all = [...adapters].flatMap(([name, { pairs }]) =>
    [...pairs].map(([layer, pair]) => ({ layer, name, pair }))
  );
  const joined = new Map<string, Joined>();
  for (const [layer, own] of Map.groupBy(all, ({ layer }) => layer)) {
    const known = before.get(layer);
    const same = known?.pairs.length === own.length && own.every(({ pair }, i) => pair === known.pairs[i]);
    joined.set(layer, same ? known : join(own, shapes(layer)[1]!));
  }
  await streamOf(device).flush(); // what was joined is stored
  return joined;
}

function join(own: readonly { name: string; pair: Pair }[], columns: number): Joined {
  const pairs = own.map(({ pair }) => pair);
  const width = Math.max(columns, ...pairs.map(({ down }) => down.shape[1]!));
  const down = joinAlong(0, pairs.map((pair) => widened(pair.down, width)));
  const up = joinAlong(1, pairs.map((pair) => pair.up));
  const made = [down, up].filter(({ node }) => node.sources.length > 0).map(retain);
  return {
    pairs,
    down,
    up,
    factors: own.map(({ name, pair: { down, factor } }) => ({ name, rank: down.shape[0]!, factor })),
    release: () => made.forEach(({ node }) => node.storage?.release()),
  };
}

/** A matrix with zeros behind its columns, where it has fewer. */
function widened(down: Tensor, width: number): Tensor {
  const [rows, columns] = down.shape as [number, number];
  return columns === width ? down : cat([down, zeros([rows, width - columns]).cast(down.dtype)], 1);
}

/** Weights of convolutions stay channels-last, as `conv2d` takes them. */
function joinAlong(axis: number, tensors: readonly Tensor[]): Tensor {
  if (tensors.length === 1) return tensors[0]!;
  const joined = cat(tensors, axis);
  return joined.rank === 4 ? joined.channelsLast() : joined;
}
