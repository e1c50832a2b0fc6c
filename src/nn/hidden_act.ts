import { gelu, geluTanh, mish, quickGelu, relu, sigmoid, silu } from "../ops/mod.ts";
import type { Tensor } from "../tensor/mod.ts";

/** A name that transformers' configs use for an activation function. */
export type HiddenActName =
  | "quick_gelu"
  | "gelu"
  | "gelu_python"
  | "gelu_new"
  | "gelu_fast"
  | "gelu_accurate"
  | "gelu_pytorch_tanh"
  | "relu"
  | "sigmoid"
  | "silu"
  | "swish"
  | "mish"
  | "tanh";

const functions: Record<HiddenActName, (x: Tensor) => Tensor> = {
  quick_gelu: quickGelu,
  gelu,
  gelu_python: gelu,
  gelu_new: geluTanh,
  gelu_fast: geluTanh,
  gelu_accurate: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  relu,
  sigmoid,
  silu,
  swish: silu,
  mish,
  tanh: (x) => x.tanh(),
};

/** All names that `hiddenAct` knows. */
export const hiddenActNames: readonly HiddenActName[] = Object.keys(functions) as HiddenActName[];

/** The activation function of a config's `hidden_act`. */
export function hiddenAct(name: HiddenActName): (x: Tensor) => Tensor {
  return functions[name];
}
