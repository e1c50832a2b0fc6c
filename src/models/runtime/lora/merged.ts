import { isPacked } from "../../../core/dtype.ts";
import { Leaf } from "../../../graph/node.ts";
import { streamOf } from "../../../graph/run/stream.ts";
import { matmul } from "../../../ops/mod.ts";
import type { Tensor } from "../../../tensor/mod.ts";
import type { Joined } from "./joined.ts";

/** Low-rank products that become part of a weight. */
export interface Merge extends Joined {
  readonly layer: string;
  /** One factor a rank. */
  readonly scale: Tensor;
}

/** Throws unless a weight can be added to: unless it is in memory, and stays there, as plain numbers. */
export function expectMergeable(layer: string, { node, dtype }: Tensor): void {
  const stays = node instanceof Leaf && !node.supply && node.storage && !node.storage.released;
  if (stays && !isPacked(dtype)) return;
  const got = isPacked(dtype) ? dtype : "weights that do not stay in memory";
  throw new Error(
    `Cannot bake into "${layer}": expected f32 or f16 in memory, got ${got}; load the model whole`,
  );
}

/** weight += up · (scale ⊙ down), in the memory of the weight. */
export async function mergeAdapter({ layer, down, up, scale }: Merge, weight: Tensor): Promise<void> {
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
