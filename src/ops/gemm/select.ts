import type { Traits } from "../../gpu/traits.ts";
import type { Candidate } from "../../graph/node.ts";
import { type Form, guessesOf, sizeStep } from "../cost.ts";
import { broadcast } from "./broadcast.ts";
import { half } from "./half.ts";
import { matrix } from "./matrix.ts";
import type { Gemm } from "./problem.ts";
import { tiled } from "./tiled.ts";
import { vector } from "./vector.ts";
import { winograd } from "./winograd.ts";

/** All forms there are. A new one is a file beside this one and a line here. */
const FORMS: readonly Form<Gemm>[] = [broadcast, matrix, half, vector, tiled, winograd];

/** The kernels that are right for a product on an adapter, the best guess first. */
export function selectKernel(traits: Traits, g: Gemm): Candidate[] {
  return guessesOf(FORMS, traits, g).map(({ candidate }) => candidate);
}

/** A name for products alike enough to share the candidate that was measured to be the fastest. */
export function shapeClassOf(
  { x, w, batch, m, n, k, taps = 1, order, conv, second, gate, others }: Gemm,
): string {
  const kind = [order, conv && `conv${taps}`, second && "two", gate && "gate", others && "three"].filter(
    Boolean,
  ).join("-");
  return [kind, x.dtype, w.dtype, sizeStep(batch[0] * batch[1]), sizeStep(m), sizeStep(n), sizeStep(k)].join(
    "/",
  );
}
