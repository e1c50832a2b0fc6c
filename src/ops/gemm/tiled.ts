import text from "../../../shaders/gemm_tiled.wgsl" with { type: "text" };
import { snippet } from "../../tensor/mod.ts";
import { costOf } from "./cost.ts";
import { joinOf } from "./joins.ts";
import { operandsOf, paramsOf } from "./operands.ts";
import type { Form } from "./select.ts";

const BODY = snippet("gemm_tiled", text);
const TILE = 64;

/** For any adapter, in f32: tiles in workgroup memory, no subgroups. */
export const tiled: Form = (traits, g) => {
  const { m, n, k, taps = 1, batch: [z0, z1] } = g;
  const { code, set } = operandsOf(g);
  const join = joinOf(g);
  const workgroups = Math.ceil(m / TILE) * Math.ceil(n / TILE) * z0 * z1;
  return [{
    candidate: {
      name: "gemm_tiled",
      plain: true,
      code: [...code, join.code, BODY],
      set: { ...set, ...join.set },
      params: paramsOf(g),
      width: 4,
      workgroups,
    },
    cost: costOf(traits, { workgroups, multiplyAdds: TILE * TILE * k * taps, rate: 1, resident: 4 }),
  }];
};
