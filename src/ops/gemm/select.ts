import type { Traits } from "../../gpu/traits.ts";
import type { Candidate } from "../../graph/node.ts";
import { broadcast } from "./broadcast.ts";
import type { Gemm } from "./gemm.ts";
import { half } from "./half.ts";
import { matrix } from "./matrix.ts";
import { tiled } from "./tiled.ts";
import { vector } from "./vector.ts";

/**
 * A form of the product: its kernels for an adapter and a shape, each with the time that it is expected to take (`costOf`);
 * none where it is not right there.
 */
export type Form = (traits: Traits, g: Gemm) => readonly Guess[];

/** A kernel, and the time that it is expected to take. */
export interface Guess {
  readonly candidate: Candidate;
  readonly cost: number;
}

/** All forms there are. A new one is a file beside this one and a line here. */
const FORMS: readonly Form[] = [broadcast, matrix, half, vector, tiled];

/** The kernels that are right for a product on an adapter, the best guess first. */
export function selectKernel(traits: Traits, g: Gemm): Candidate[] {
  return FORMS.flatMap((form) => form(traits, g)).sort((a, b) => a.cost - b.cost).map(({ candidate }) =>
    candidate
  );
}
