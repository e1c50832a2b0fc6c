import assert from "node:assert/strict";
import { NonFiniteError, type NonFiniteReport } from "../../src/graph/check/error.ts";
import type { Model } from "../../src/models/mod.ts";
import type { Weights } from "../../src/models/runtime/weights.ts";
import type { Tensor } from "../../src/tensor/mod.ts";

/** Weights of a model that are in memory, by their keys. */
export function weightsOf(model: Model): [key: string, weight: Tensor][] {
  const { weights } = model as unknown as { weights: Weights };
  return [...weights.tensors].filter(([, { node }]) => node.storage);
}

/** Writes a number over an element of a weight while `run` lasts. */
export async function planted<T>(
  weight: Tensor,
  element: number,
  value: number,
  run: () => Promise<T>,
): Promise<T> {
  const { device, dtype, node: { storage } } = weight;
  const { buffer, offset } = storage!;
  const perWord = dtype === "f16" ? 2 : 1;
  const at = offset + Math.floor(element / perWord) * 4;
  const before = await device.read(buffer, at, 4);
  const word = before.slice(0);
  if (dtype === "f16") new Float16Array(word)[element % 2] = value;
  else new Float32Array(word)[0] = value;
  device.gpu.queue.writeBuffer(buffer, at, word);
  try {
    return await run();
  } finally {
    device.gpu.queue.writeBuffer(buffer, at, before);
  }
}

/** What the check says of work. Fails where it says nothing. */
export async function refused(
  run: () => Promise<unknown>,
  what = "work",
): Promise<NonFiniteReport & { message: string }> {
  const error = await run().then(() => undefined, (error) => error);
  assert.ok(error instanceof NonFiniteError, `${what}: expected a NonFiniteError, got ${error}`);
  return { ...error.report, message: error.message };
}
