import text from "../../../shaders/gemm/broadcast.wgsl" with { type: "text" };
import { snippet } from "../../tensor/mod.ts";
import { costOf, type Form } from "../cost.ts";
import { operandsOf, paramsOf, weightBytes } from "./operands.ts";
import type { Gemm } from "./problem.ts";

const BODY = snippet("gemm/broadcast", text);

/**
 * For software adapters with subgroups: lanes hand rows round in registers. Mesa's can be made to report 32 lanes, but then
 * runs 16: broadcasts from the others read 0.
 */
export const broadcast: Form<Gemm> = (traits, g) => {
  const { software, lanes } = traits;
  if (!software || (lanes !== 8 && lanes !== 16) || g.gate || g.others) return [];
  const { m, n, k, taps = 1, batch: [z0, z1] } = g;
  const rows = m <= 16 ? 8 : lanes === 8 ? 32 : 16; // the fastest measured; sizes of pictures are multiples of both
  const { code, set } = operandsOf(g);
  const workgroups = Math.ceil(m / rows) * Math.ceil(n / (4 * lanes)) * z0 * z1;
  return [{
    candidate: {
      name: "gemm_broadcast",
      code: [...code, BODY],
      set: { ...set, SG: lanes, ROWS: rows },
      params: paramsOf(g),
      width: 4,
      workgroups,
    },
    cost: costOf(traits, {
      workgroups,
      multiplyAdds: rows * 4 * lanes * k * taps,
      rate: 4,
      resident: 1,
      bytes: weightBytes(g),
    }),
  }];
};
