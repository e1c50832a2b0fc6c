import text from "../../../shaders/gemm/gemv.wgsl" with { type: "text" };
import { snippet } from "../../tensor/mod.ts";
import { costOf, type Form } from "../cost.ts";
import { operandsOf, paramsOf, weightBytes } from "./operands.ts";
import type { Gemm } from "./problem.ts";

const BODY = snippet("gemm/gemv", text);
/** Rows up to which weights that are read once are what a product waits for. */
const FEW = 8;

/** For few rows: reads each weight once, at the memory's speed. */
export const vector: Form<Gemm> = (traits, g) => {
  const { m, n, k, taps = 1, batch: [z0, z1], order, gate } = g;
  if (m > FEW || order !== "nk" || gate) return [];
  const rows = 2 ** Math.ceil(Math.log2(Math.max(1, m)));
  const { code, set } = operandsOf(g);
  const workgroups = Math.ceil(n / 4) * z0 * z1;
  return [{
    candidate: {
      name: "gemv",
      code: [...code, BODY],
      set: { ...set, ROWS: rows },
      params: paramsOf(g),
      width: 4,
      workgroups,
    },
    cost: costOf(traits, {
      workgroups,
      multiplyAdds: rows * 4 * k * taps,
      rate: traits.software ? 0.25 : 1, // measured there
      resident: 16,
      bytes: weightBytes(g),
    }),
  }];
};
