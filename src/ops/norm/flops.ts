// Arithmetic operations for each element of what is normalised, as formulas have them, whatever a kernel does. Weights and
// biases behind a norm are pointwise operations of their own.

/** Mean (a sum) and variance (a difference, a square, a sum). */
export const MOMENTS_FLOPS = 4;
/** The same, then a difference and a product. */
export const NORM_FLOPS = MOMENTS_FLOPS + 2;
/** Mean square (a square, a sum), then a product. */
export const RMS_FLOPS = 3;
/** Maximum, difference, exp, sum, quotient. */
export const SOFTMAX_FLOPS = 5;
