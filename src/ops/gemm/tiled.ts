import activations from "../../../shaders/lib/activations.wgsl" with { type: "text" };
import text from "../../../shaders/gemm_tiled.wgsl" with { type: "text" };
import joinGelu from "../../../shaders/lib/gemm_join_gelu.wgsl" with { type: "text" };
import joinNone from "../../../shaders/lib/gemm_join_none.wgsl" with { type: "text" };
import { costOf } from "./cost.ts";
import { operandsOf, paramsOf, part } from "./operands.ts";
import type { Form } from "./select.ts";

const BODY = part("gemm_tiled", text);
/** What is done with the sums: nothing, or the gate of two products. */
const JOIN = {
  none: [part("lib/gemm_join_none", joinNone)],
  gelu: [part("lib/activations", activations), part("lib/gemm_join_gelu", joinGelu)],
};
const TILE = 64;

/** For any adapter, in f32: tiles in workgroup memory, no subgroups. */
export const tiled: Form = (traits, g) => {
  const { m, n, k, taps = 1, batch: [z0, z1], gate, others } = g;
  const { code, set } = operandsOf(g);
  const workgroups = Math.ceil(m / TILE) * Math.ceil(n / TILE) * z0 * z1;
  return [{
    candidate: {
      name: "gemm_tiled",
      code: [...code, ...JOIN[gate ? "gelu" : "none"], BODY],
      set: {
        ...set,
        ...(gate ? { B: gate.bias.dtype } : {}),
        SETS: gate ? 2 : 1,
        PARAMS: 3 + (gate ? 1 : 0) + (others?.length ?? 0),
      },
      params: paramsOf(g),
      width: 4,
      workgroups,
    },
    cost: costOf(traits, { workgroups, multiplyAdds: TILE * TILE * k * taps, rate: 1, resident: 4 }),
  }];
};
