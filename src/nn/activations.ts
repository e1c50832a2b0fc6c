import { gelu, geluTanh, mish, quickGelu, relu, sigmoid, silu } from "../ops/mod.ts";
import type { Tensor } from "../tensor/mod.ts";

/** A name of an activation function in transformers' configs (`hidden_act`); diffusers' (`act_fn`) are among them. */
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

/** All names in transformers' configs. */
export const hiddenActNames: readonly HiddenActName[] = Object.keys(functions) as HiddenActName[];

/** All names in diffusers' configs. */
export const actFnNames = ["swish", "silu", "mish", "gelu", "relu"] as const satisfies HiddenActName[];

/** A name of an activation function in diffusers' configs. */
export type ActFnName = typeof actFnNames[number];

/** The activation function of a name. */
export function activation(name: HiddenActName): (x: Tensor) => Tensor {
  return functions[name];
}
