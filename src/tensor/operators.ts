import type { Tensor } from "./tensor.ts";

/** Operators of src/ops that are methods of tensors, too: that layer provides them, as it stands above this one. */
export interface Operators {
  /** Matrix product over the last two axes. */
  matmul(a: Tensor, b: Tensor): Tensor;
  /** eˣ / Σ eˣ along an axis. */
  softmax(x: Tensor, axis: number): Tensor;
}

let operators: Operators | undefined;

/** Lets the methods call the operators. */
export function provideOperators(given: Operators): void {
  operators = given;
}

/** The operators that were provided: `denoise` and `denoise/ops` do so when they are imported. */
export function operatorsAbove(): Operators {
  if (!operators) {
    throw new Error('Cannot run an operator by its method: import "denoise" or "denoise/ops" first');
  }
  return operators;
}
