import activations from "../../../shaders/lib/activations.wgsl" with { type: "text" };
import joinGelu from "../../../shaders/lib/gemm_join_gelu.wgsl" with { type: "text" };
import joinNone from "../../../shaders/lib/gemm_join_none.wgsl" with { type: "text" };
import type { SourcePart } from "../../gpu/pipelines.ts";
import type { Gemm } from "./gemm.ts";
import { part } from "./operands.ts";

const JOIN = {
  none: [part("lib/gemm_join_none", joinNone)],
  gelu: [part("lib/activations", activations), part("lib/gemm_join_gelu", joinGelu)],
};

/** What forms for GPUs do with their sums: nothing, or the gate of two products. Both count the bindings in front of params. */
export function joinOf(
  { gate, others }: Gemm,
): { code: readonly SourcePart[]; set: Record<string, string | number> } {
  return {
    code: JOIN[gate ? "gelu" : "none"],
    set: {
      ...(gate ? { B: gate.bias.dtype } : {}),
      SETS: gate ? 2 : 1,
      PARAMS: 3 + (gate ? 1 : 0) + (others?.length ?? 0),
    },
  };
}
