import { Parameter } from "../../src/ops/low_rank.ts";
import { Tensor } from "../../src/tensor/mod.ts";

/** An uploaded tensor as a weight of a model, which may have a low rank. */
export function parameter({ device, dtype, node, shape, strides }: Tensor, order = strides): Tensor {
  return new Tensor(device, new Parameter(dtype, node.count, "", node.storage), shape, order, 0);
}
