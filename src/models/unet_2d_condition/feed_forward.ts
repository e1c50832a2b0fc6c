import { linearGeglu } from "../../ops/linear_geglu.ts";
import { named, type Tensor } from "../../tensor/mod.ts";
import { dense, expectShape, type Layer } from "../../nn/layers.ts";

/** Weights of a gated feed-forward layer; net.1 is a dropout and has none. */
export interface FeedForward {
  net: { 0: { proj: Layer }; 2: Layer };
}

const WIDENING = 4; // of the layer between the two dense ones

/**
 * hidden · GELU(gate) (Shazeer 2020, https://arxiv.org/abs/2002.05202),
 * then a dense layer. x [B, N, D] → [B, N, D].
 */
export function feedForward(x: Tensor, w: FeedForward): Tensor {
  const width = x.shape.at(-1)!;
  const inner = WIDENING * width;
  const { proj } = w.net[0];
  expectShape(proj.weight, [2 * inner, width]);
  expectShape(proj.bias, [2 * inner]);
  const gated = named("net.0", () => linearGeglu(x, proj), [x]);
  return named("net.2", () => dense(gated, w.net[2], width), [gated]);
}
