import text from "../../../shaders/gemm/half.wgsl" with { type: "text" };
import { snippet } from "../../tensor/mod.ts";
import type { Form } from "../cost.ts";
import { eightsOf } from "./eights.ts";
import { joinOf } from "./joins.ts";
import { paramsOf } from "./operands.ts";
import type { Gemm } from "./problem.ts";
import { withParts } from "./split.ts";

const BODY = snippet("gemm/half", text);
/** Channels that lie in workgroup memory at a time. */
const DEPTH = 32;
/** Sizes of tiles, what a lane computes of one, and how many times as fast as f32 each is, by reading. */
const TILES = [
  { TILE_M: 128, TILE_N: 64, ROWS: 8, speed: 1.8 },
  { TILE_M: 64, TILE_N: 64, ROWS: 8, speed: 1.7 },
  { TILE_M: 32, TILE_N: 32, ROWS: 4, speed: 1.2 },
] as const;

/**
 * For GPUs without matrix units, in packed f16: only where the result is f16, too, as sums of 32 terms must be within its
 * range.
 */
export const half: Form<Gemm> = (traits, g) => {
  const eights = eightsOf(g, DEPTH);
  if (!traits.f16Words || !eights || (g.dtype ?? g.x.dtype) !== "f16") return [];
  const { m, n, k, taps = 1, batch: [z0, z1] } = g;
  const join = joinOf(g);
  const steps = taps * Math.ceil(k / DEPTH);
  const sets = g.gate ? 2 : 1;
  return TILES.filter(({ TILE_M }) => TILE_M * 2 <= traits.invocations).flatMap(({ speed, ...tile }) => {
    const { TILE_M, TILE_N } = tile;
    const workgroups = Math.ceil(m / TILE_M) * Math.ceil(n * sets / TILE_N) * z0 * z1;
    const whole = {
      name: `gemm_half_${TILE_M}x${TILE_N}`,
      code: [...eights.code, join.code, BODY],
      set: { ...eights.set, ...join.set, ...tile, ROWS: tile.ROWS / sets, GROUPS: sets },
      params: paramsOf(g),
      width: 4,
      workgroups,
    } as const;
    const rate = traits.software ? 0.2 : speed;
    const work = { workgroups, multiplyAdds: TILE_M * TILE_N * DEPTH * steps, rate, resident: 4 };
    return withParts(traits, g, whole, work, steps);
  });
};
