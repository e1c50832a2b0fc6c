import { geluTanh } from "../../ops/mod.ts";
import { named, type Tensor } from "../../tensor/mod.ts";
import { dense, type Layer } from "../../nn/layers.ts";

/** Weights of a feed-forward layer; net.1 is a dropout and has none. */
export interface FluxFeedForward {
  net: { 0: { proj: Layer }; 2: Layer };
}

/** Width of the layer between the two dense ones, in widths of a token. */
export const WIDENING = 4;

/** Two dense layers with GELU by its tanh approximation between them. x [B, N, D] → [B, N, D]. */
export function fluxFeedForward(x: Tensor, w: FluxFeedForward): Tensor {
  const D = x.shape.at(-1)!;
  const hidden = named("net.0", () => geluTanh(dense(x, w.net[0].proj, WIDENING * D)), [x]);
  return named("net.2", () => dense(hidden, w.net[2], D), [hidden]);
}
