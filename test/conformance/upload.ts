import { type Tensor, tensor } from "../../src/mod.ts";
import type { HostTensor } from "../support/arrays.ts";

/** A stored tensor on the GPU, as f32 by default. */
export function upload({ data, shape }: HostTensor, dtype: "f32" | "f16" = "f32"): Tensor {
  return tensor(Float32Array.from(data), shape, { dtype });
}
