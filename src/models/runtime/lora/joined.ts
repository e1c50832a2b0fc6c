import type { Device } from "../../../gpu/device.ts";
import { streamOf } from "../../../graph/run/stream.ts";
import { cat, hold, type Tensor } from "../../../tensor/mod.ts";
import type { AdapterPart } from "./matrices.ts";

/** All adapters of one layer, joined along their ranks. */
export interface Joined {
  readonly parts: readonly AdapterPart[];
  /** [ΣR, K], of a convolution [ΣR, C, kh, kw]. */
  readonly down: Tensor;
  /** [N, ΣR], of a convolution [N, ΣR, 1, 1]. */
  readonly up: Tensor;
  /** Whose ranks these are, in order, and what their products are multiplied by at scale 1. */
  readonly factors: readonly { name: string; rank: number; factor: number }[];
  /** Frees what was made for joining. */
  release(): void;
}

/** Joins the parts of each layer; what `before` has of the same parts is taken over. */
export async function joinParts(
  device: Device,
  layers: ReadonlyMap<string, readonly (readonly [name: string, part: AdapterPart])[]>,
  before: ReadonlyMap<string, Joined>,
): Promise<ReadonlyMap<string, Joined>> {
  const joined = new Map<string, Joined>();
  for (const [layer, named] of layers) {
    const parts = named.map(([, part]) => part);
    const known = before.get(layer);
    const same = known?.parts.length === parts.length && known.parts.every((part, i) => part === parts[i]);
    joined.set(layer, same ? known : join(named));
  }
  await streamOf(device).flush(); // what was joined is stored
  return joined;
}

function join(named: readonly (readonly [name: string, part: AdapterPart])[]): Joined {
  const parts = named.map(([, part]) => part);
  const down = joinAlong(0, parts.map((part) => part.down));
  const up = joinAlong(1, parts.map((part) => part.up));
  const made = [down, up].filter(({ node }) => node.sources.length > 0).map(hold);
  return {
    parts,
    down,
    up,
    factors: named.map(([name, { down, factor }]) => ({ name, rank: down.shape[0]!, factor })),
    release: () => made.forEach(({ node }) => node.storage?.release()),
  };
}

/** Weights of convolutions stay channels-last, as `conv2d` takes them. */
function joinAlong(axis: number, tensors: readonly Tensor[]): Tensor {
  if (tensors.length === 1) return tensors[0]!;
  const joined = cat(tensors, axis);
  return joined.rank === 4 ? joined.channelsLast() : joined;
}
