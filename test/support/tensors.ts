import assert from "node:assert/strict";
import type { Tensor } from "../../src/tensor/mod.ts";
import { assertRelativelyClose } from "./close.ts";
import type { Nd } from "./nd.ts";

/** Fails unless a tensor has the shape of its reference, and its values within `bound` times the largest. */
export async function assertTensor(got: Tensor, want: Nd, bound: number, what: string): Promise<void> {
  assert.deepEqual([...got.shape], [...want.shape], `${what}: shape`);
  assertRelativelyClose(await got.data(), want.data, bound, what);
}
