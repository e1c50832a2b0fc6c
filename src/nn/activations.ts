import { gelu, mish, relu, silu } from "../ops/mod.ts";
import type { Tensor } from "../tensor/mod.ts";

const functions = { swish: silu, silu, mish, gelu, relu } as const;

/** A name that diffusers' configs use for an activation function. */
export type ActivationName = keyof typeof functions;

/** All names that `activation` knows. */
export const activationNames: readonly ActivationName[] = Object.keys(functions) as ActivationName[];

/** The activation function of a config's `act_fn`. */
export function activation(name: ActivationName): (x: Tensor) => Tensor {
  return functions[name];
}
