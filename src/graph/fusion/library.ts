import activations from "../../../shaders/lib/activations.wgsl" with { type: "text" };
import functions from "../../../shaders/lib/functions.wgsl" with { type: "text" };
import { type Snippet, snippet } from "../../gpu/shader/snippet.ts";

/** Functions that models call, apart from the others so that their kernels compile no more than they need. */
export const ACTIVATIONS: Snippet = snippet("lib/activations", activations);
const FUNCTIONS = snippet("lib/functions", functions, [ACTIVATIONS]);

/** The snippets that declare the functions which an expression calls. */
export function libraryOf(called: ReadonlySet<string>): Snippet[] {
  if (called.size === 0) return [];
  return [...called].every((name) => activations.includes(`fn ${name}(`)) ? [ACTIVATIONS] : [FUNCTIONS];
}
