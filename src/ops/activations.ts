import { pointwise, type Tensor } from "../tensor/mod.ts";

/** x · σ(x) (Elfwing et al. 2017), also called swish. */
export function silu(x: Tensor): Tensor {
  return pointwise("silu", x);
}

/** x · Φ(x) with the exact normal distribution (Hendrycks & Gimpel 2016). */
export function gelu(x: Tensor): Tensor {
  return pointwise("gelu", x);
}

/** GELU by its tanh approximation. */
export function geluTanh(x: Tensor): Tensor {
  return pointwise("gelu_tanh", x);
}

/** x · σ(1.702 x), the GELU of CLIP. */
export function quickGelu(x: Tensor): Tensor {
  return pointwise("quick_gelu", x);
}

/** max(x, 0). */
export function relu(x: Tensor): Tensor {
  return pointwise("relu", x);
}

/** 1 / (1 + e⁻ˣ). */
export function sigmoid(x: Tensor): Tensor {
  return pointwise("sigmoid", x);
}

/** x · tanh(softplus(x)) (Misra 2019). */
export function mish(x: Tensor): Tensor {
  return pointwise("mish", x);
}

/** hidden · GELU(gate), the halves of the last axis (Shazeer 2020). x [.., 2 D] → [.., D]. */
export function geglu(x: Tensor): Tensor {
  const [hidden, gate] = x.chunk(2, -1);
  return hidden.mul(gelu(gate));
}
