import { silu } from "../ops/mod.ts";
import { named, type Tensor } from "../tensor/mod.ts";
import { project, type Projection } from "./layers.ts";

/** A projection, and the name that it has in its model. */
export type NamedProjection = readonly [name: string, weights: Projection];

/** Options of `gatedFeedForward`. */
export interface GatedFeedForwardOptions {
  /** Width between the layers. */
  hidden: number;
  /** The activation function of the gate, SiLU by default. */
  act?: ((x: Tensor) => Tensor) | undefined;
}

/**
 * Factor on the values between the layers, which leaves again behind them: their products reach beyond 65504, the largest
 * f16. So f16 holds them while both factors are below 4096; what it rounds to whole multiples of 2^-24 are then those
 * below 2^-6, by at most 2^-17.
 */
export const LOWERED: number = 2 ** -8;

/** out(act(gate x) · value x) (Shazeer 2020, https://arxiv.org/abs/2002.05202). x [B, N, D] → [B, N, D] f32 */
export function gatedFeedForward(
  x: Tensor,
  w: { gate: NamedProjection; value: NamedProjection; out: NamedProjection },
  { hidden, act = silu }: GatedFeedForwardOptions,
): Tensor {
  const inner = ([name, weights]: NamedProjection) => named(name, () => project(x, weights, hidden), [x]);
  const gate = act(inner(w.gate)).mul(LOWERED);
  const h = gate.mul(inner(w.value));
  const [name, weights] = w.out;
  const out = () => project(h, weights, x.shape.at(-1)!, { dtype: "f32" }).mul(1 / LOWERED);
  return named(name, out, [h]);
}
