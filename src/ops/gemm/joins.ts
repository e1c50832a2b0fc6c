import joinGelu from "../../../shaders/gemm/lib/join_gelu.wgsl" with { type: "text" };
import joinNone from "../../../shaders/gemm/lib/join_none.wgsl" with { type: "text" };
import { ACTIVATIONS, type Snippet, snippet } from "../../tensor/mod.ts";
import type { Gemm } from "./problem.ts";

const JOIN = {
  none: snippet("gemm/lib/join_none", joinNone),
  gelu: snippet("gemm/lib/join_gelu", joinGelu, [ACTIVATIONS]),
};

/** The snippet that takes the sums of forms for GPUs: as they are, or as the gate of two products. */
export function joinOf({ gate }: Gemm): { code: Snippet; set: Record<string, string | number> } {
  return {
    code: JOIN[gate ? "gelu" : "none"],
    set: { ...(gate ? { B: gate.bias.dtype } : {}), SETS: gate ? 2 : 1 },
  };
}
