import { type Tensor, tensor } from "../../src/mod.ts";
import type { HostTensor } from "../support/arrays.ts";

/** A stored tensor on the GPU, as f32. */
export function upload({ data, shape }: HostTensor): Tensor {
  return tensor(Float32Array.from(data), shape);
}
