import { isPacked } from "../../../core/dtype.ts";
import { Leaf, type Node } from "../../../graph/node.ts";
import { streamOf } from "../../../graph/run/stream.ts";
import { matmul } from "../../../ops/mod.ts";
import type { Tensor } from "../../../tensor/mod.ts";
import type { Joined } from "./matrices.ts";

/** Low-rank products that become part of a layer's weight. */
export interface Merge extends Pick<Joined, "down" | "up" | "release"> {
  readonly layer: string;
  /** One factor a rank. */
  readonly scale: Tensor;
}

/** Memory that can be freed. */
interface Owned {
  readonly bytes: number;
  release(): void;
}

/**
 * The adapters that were added to the weights of a model. Their matrices stay in memory, so that weights which are loaded
 * again get them again.
 */
export class BakedAdapters {
  readonly #weightOf: (layer: string) => Tensor;
  readonly #merges: Merge[] = [];
  readonly #adapters = new Map<string, Owned>();

  /** For a model whose layers have these weights. */
  constructor(weightOf: (layer: string) => Tensor) {
    this.#weightOf = weightOf;
  }

  /** Names of the adapters. */
  get names(): string[] {
    return [...this.#adapters.keys()];
  }

  /** Bytes of their matrices. */
  get bytes(): number {
    return [...this.#adapters.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Adds to the weights, to all or to none, and takes over the memory of what it is made of. */
  async add(merges: readonly Merge[], adapters: Iterable<readonly [name: string, Owned]>): Promise<void> {
    for (const { layer } of merges) expectMergeable(layer, this.#weightOf(layer));
    for (const merge of merges) {
      await addInPlace(merge, this.#weightOf(merge.layer));
      this.#merges.push(merge);
    }
    for (const [name, adapter] of adapters) this.#adapters.set(name, adapter);
  }

  /** Adds everything to those weights that were loaded again. */
  async again(loaded: readonly Node[]): Promise<void> {
    const anew = new Set(loaded);
    for (const merge of this.#merges) {
      const weight = this.#weightOf(merge.layer);
      if (anew.has(weight.node)) await addInPlace(merge, weight);
    }
  }

  /** Gives the memory back. */
  release(): void {
    for (const owned of [...this.#adapters.values(), ...this.#merges]) owned.release();
  }
}

/** Throws unless a weight can be added to: unless it is in memory, and stays there, as plain numbers. */
function expectMergeable(layer: string, { node, dtype }: Tensor): void {
  const stays = node instanceof Leaf && !node.pager && node.storage && !node.storage.released;
  if (stays && !isPacked(dtype)) return;
  const got = isPacked(dtype) ? dtype : "weights that do not stay in memory";
  throw new Error(
    `Cannot bake into "${layer}": expected f32 or f16 in memory, got ${got}; load the model whole`,
  );
}

/** weight += up · (scale ⊙ down), in the memory of the weight. */
async function addInPlace({ layer, down, up, scale }: Merge, weight: Tensor): Promise<void> {
  expectMergeable(layer, weight);
  const { node, device, dtype } = weight;
  const stream = streamOf(device);
  const low = matmul(matrix(up).cast("f32").mul(scale), matrix(down).cast("f32"));
  const sum = matrix(weight).add(low).cast(dtype).contiguous(); // dense as the weight itself
  stream.want(sum.node);
  await stream.flush();
  const [from, to] = [sum.node.storage!, node.storage!];
  const encoder = device.gpu.createCommandEncoder({ label: "bake" });
  const bytes = Math.ceil(Math.min(from.bytes, to.bytes) / 4) * 4;
  encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, bytes);
  device.submit(encoder, `adding a LoRA to "${layer}"`);
  from.release();
}

/** A weight as rows of what lies together: [N, K], of a convolution [O, kh · kw · C]. */
function matrix(weight: Tensor): Tensor {
  return weight.rank === 4 ? weight.permute([0, 2, 3, 1]).reshape([weight.shape[0]!, -1]) : weight;
}
