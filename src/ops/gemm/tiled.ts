import text from "../../../shaders/gemm/tiled.wgsl" with { type: "text" };
import { snippet } from "../../tensor/mod.ts";
import type { Form } from "../cost.ts";
import { joinOf } from "./joins.ts";
import { operandsOf, paramsOf } from "./operands.ts";
import type { Gemm } from "./problem.ts";
import { withParts } from "./split.ts";

const BODY = snippet("gemm/tiled", text);
/**
 * Sides of tiles, what an invocation computes of one, and how much of the arithmetic's speed each reaches: on a GPU
 * by reading, on the host's processors measured.
 */
const TILES = [
  { TILE: 128, ROWS: 8, GROUPS: 2, speed: 1.1, host: 0.73 },
  { TILE: 64, ROWS: 8, GROUPS: 1, speed: 1, host: 1 },
  { TILE: 32, ROWS: 4, GROUPS: 1, speed: 0.7, host: 0.73 },
] as const;

/** For any adapter, in f32: tiles in workgroup memory, no subgroups. */
export const tiled: Form<Gemm> = (traits, g) => {
  const { m, n, k, taps = 1, batch: [z0, z1], order, gate } = g;
  const { code, set } = operandsOf(g);
  const join = joinOf(g);
  const steps = taps * Math.ceil(k / 32);
  // With two sets of weights a lane of the largest tile would hold more sums than it has registers.
  const fits = ({ TILE }: typeof TILES[number]) =>
    TILE * 128 * (gate ? 3 : 2) <= traits.workgroupMemory && 2 * TILE <= traits.invocations &&
    !(gate && TILE === 128);
  return TILES.filter(fits).flatMap(({ speed, host, ...tile }) => {
    const { TILE } = tile;
    const workgroups = Math.ceil(m / TILE) * Math.ceil(n / TILE) * z0 * z1;
    const whole = {
      name: `gemm_tiled_${TILE}`,
      plain: TILE === 32, // fits any adapter
      code: [...code, join.code, BODY],
      set: { ...set, ...join.set, ...tile, ALONG_K: String(order === "nk") },
      params: paramsOf(g),
      width: 4,
      workgroups,
    } as const;
    const work = {
      workgroups,
      multiplyAdds: TILE * TILE * 32 * steps,
      rate: traits.software ? host : speed,
      resident: 4,
    };
    return withParts(traits, g, whole, work, steps);
  });
};
