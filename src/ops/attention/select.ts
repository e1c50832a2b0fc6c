import type { Traits } from "../../gpu/traits.ts";
import type { Candidate } from "../../graph/node.ts";
import { costOf, DISPATCH, type Form, guessesOf, sizeStep } from "../cost.ts";
import { broadcast } from "./broadcast.ts";
import { kept } from "./kept.ts";
import { matrix } from "./matrix.ts";
import { type Attention, sizesOf } from "./operands.ts";
import { tiled } from "./tiled.ts";

/** All forms in one dispatch. A new one is a file beside this one and a line here. */
const FORMS: readonly Form<Attention>[] = [broadcast, matrix, kept, tiled];

/**
 * The kernels that are right for attention on an adapter, the best guess first; none where blocks (see blocks.ts) are
 * expected to be faster than each of them, unless the name of one contains `asked`.
 */
export function selectKernel(traits: Traits, a: Attention, asked?: string): Candidate[] {
  const guesses = guessesOf(FORMS, traits, a);
  const wanted = guesses.some(({ candidate }) => asked && candidate.name.includes(asked));
  if (!wanted && guesses[0] && guesses[0].cost > costOfBlocks(traits, a)) return [];
  return guesses.map(({ candidate }) => candidate);
}

/**
 * The cost of both products and the softmax between, two dispatches more. Scores go through memory, which
 * weighs the less the wider heads are.
 */
function costOfBlocks(traits: Traits, a: Attention): number {
  const { batch: [B, H], queries, keys, width, columns } = sizesOf(a);
  const onMatrices = traits.matrices.length > 0 && a.q.dtype === "f16" && a.v.dtype === "f16";
  const rate = traits.software ? 2 : onMatrices ? Math.min(4, (width + columns) / 256) : 0.5;
  const workgroups = Math.ceil(queries / 64) * B * H;
  const multiplyAdds = 64 * keys * (width + columns);
  return (traits.software ? 0 : 2 * DISPATCH) +
    costOf(traits, { workgroups, multiplyAdds, rate, resident: 1 });
}

/** A name for attentions alike enough to share the candidate that was measured to be the fastest. */
export function shapeClassOf(a: Attention): string {
  const { batch: [B, H], queries, keys, width, columns } = sizesOf(a);
  const kind = [a.causal && "causal", a.mask && "mask"].filter(Boolean).join("-") || "plain";
  return [kind, a.q.dtype, sizeStep(B * H), sizeStep(queries), sizeStep(keys), width, columns].join("/");
}
