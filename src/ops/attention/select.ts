import type { Traits } from "../../gpu/traits.ts";
import type { Candidate } from "../../graph/node.ts";
import { costOf } from "../gemm/cost.ts";
import { broadcast } from "./broadcast.ts";
import { kept } from "./kept.ts";
import { matrix } from "./matrix.ts";
import { type Attention, sizesOf } from "./operands.ts";
import { tiled } from "./tiled.ts";

/**
 * A form of attention: its kernels for an adapter and a shape, each with the time that it is expected to take (`costOf`);
 * none where it is not right there.
 */
export type Form = (traits: Traits, a: Attention) => readonly Guess[];

/** A kernel, and the time that it is expected to take. */
export interface Guess {
  readonly candidate: Candidate;
  readonly cost: number;
}

/** All forms in one dispatch. A new one is a file beside this one and a line here. */
const FORMS: readonly Form[] = [broadcast, matrix, kept, tiled];

/**
 * The kernels that are right for attention on an adapter, the best guess first; none where blocks (see blocks.ts) are
 * expected to be faster than each of them, unless the name of one contains `asked`.
 */
export function selectKernel(traits: Traits, a: Attention, asked?: string): Candidate[] {
  const guesses = FORMS.flatMap((form) => form(traits, a)).sort((a, b) => a.cost - b.cost);
  const wanted = guesses.some(({ candidate }) => asked && candidate.name.includes(asked));
  if (!wanted && guesses[0] && guesses[0].cost > costOfBlocks(traits, a)) return [];
  return guesses.map(({ candidate }) => candidate);
}

/** Of both products and the softmax between, whose scores go through memory: it weighs the less the wider heads are. */
function costOfBlocks(traits: Traits, a: Attention): number {
  const { batch: [B, H], queries, keys, width, columns } = sizesOf(a);
  const onMatrices = traits.matrices.length > 0 && a.q.dtype === "f16" && a.v.dtype === "f16";
  const rate = traits.software ? 2 : onMatrices ? Math.min(4, (width + columns) / 256) : 0.5;
  const workgroups = Math.ceil(queries / 64) * B * H;
  return costOf(traits, { workgroups, multiplyAdds: 64 * keys * (width + columns), rate, resident: 1 });
}

/** Names attentions for which one candidate is taken to be the fastest: sizes count in steps of √2. */
export function shapeClassOf(a: Attention): string {
  const { batch: [B, H], queries, keys, width, columns } = sizesOf(a);
  const step = (size: number) => Math.round(2 * Math.log2(Math.max(1, size)));
  const kind = [a.causal && "causal", a.mask && "mask"].filter(Boolean).join("-") || "plain";
  return [kind, a.q.dtype, step(B * H), step(queries), step(keys), width, columns].join("/");
}
