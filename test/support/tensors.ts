import assert from "node:assert/strict";
import { type Tensor, tensor } from "../../src/tensor/mod.ts";
import type { HostTensor } from "./arrays.ts";
import { assertRelativelyClose } from "./close.ts";

/** Values on the host. */
export interface Values {
  readonly shape: readonly number[];
  /** In row-major order. */
  readonly data: ArrayLike<number>;
}

/** Fails unless a tensor has the shape of its reference, and its values within `bound` times the largest. */
export async function assertTensor(got: Tensor, want: Values, bound: number, what: string): Promise<void> {
  assert.deepEqual([...got.shape], [...want.shape], `${what}: shape`);
  assertRelativelyClose(await got.data(), want.data, bound, what);
}

/** A tensor as a reference for others. */
export async function onHost(x: Tensor): Promise<Values> {
  return { shape: x.shape, data: await x.data() };
}

/** A stored tensor on the GPU, as f32 by default. */
export function upload({ data, shape }: HostTensor, dtype: "f32" | "f16" = "f32"): Tensor {
  return tensor(Float32Array.from(data), shape, { dtype });
}
