import text from "../../../shaders/gemm/sum.wgsl" with { type: "text" };
import type { Traits } from "../../gpu/traits.ts";
import type { Candidate } from "../../graph/node.ts";
import { ELEMENT_MAIN, snippet } from "../../tensor/mod.ts";
import { costOf, DISPATCH, type Guess, type Work } from "../cost.ts";
import { inputsOf, weightBytes } from "./operands.ts";
import type { Gemm } from "./problem.ts";

const CODE = [snippet("gemm/sum", text, [ELEMENT_MAIN])];
/** Numbers of parts that are offered, if the sum is long enough. */
const PARTS = [2, 4, 8];
/** Workgroups for a processor with which a grid is taken to keep it at work. */
const ENOUGH = 4;
/** Steps of a kernel's loop that a part has at least. */
const STEPS = 4;

/**
 * A kernel, and where its grid is smaller than the GPU the same with its sum cut into parts, which workgroups of their own
 * compute. `steps` is the length of its loop over the sum, of which workgroups of part p take those from p * steps / parts on;
 * the kernel finds `parts` in its params and the part in z / params.z.
 */
export function withParts(
  traits: Traits,
  g: Gemm,
  whole: Candidate,
  tiles: Omit<Work, "bytes">,
  steps: number,
): Guess[] {
  const { software, multiprocessors } = traits;
  const { batch: [z0, z1], m, n, k, taps = 1, gate } = g;
  const work: Work = { ...tiles, bytes: weightBytes(g) };
  const quads = Math.ceil(n / 4);
  const cut = gate || work.workgroups >= ENOUGH * multiprocessors
    ? []
    : PARTS.filter((parts) => steps >= STEPS * parts);
  const split = cut.map((parts): Guess => ({
    candidate: {
      name: `${whole.name}_split${parts}`,
      code: CODE,
      set: {},
      params: { parts, z: z0 * z1, m, quads },
      width: 4,
      workgroups: Math.ceil(z0 * z1 * m * quads / 64),
      reads: [inputsOf(g).length],
      before: [{
        ...whole,
        params: { ...whole.params, parts },
        workgroups: whole.workgroups * parts,
        dtype: "f32",
        axes: [parts * z0, z1, m, 4 * quads],
        flops: 2 * z0 * z1 * m * n * k * taps,
      }],
    },
    cost: software ? Infinity : DISPATCH +
      costOf(traits, {
        ...work,
        workgroups: work.workgroups * parts,
        multiplyAdds: work.multiplyAdds / parts,
      }) +
      costOf(traits, {
        workgroups: 0,
        multiplyAdds: 0,
        rate: 1,
        resident: 1,
        bytes: 32 * parts * z0 * z1 * m * quads,
      }),
  }));
  return [{ candidate: whole, cost: costOf(traits, work) }, ...split];
}
