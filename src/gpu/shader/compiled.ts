/** Reads off a shader's text, as it is compiled, what a caller of its kernel has to know. */
import { type Bound, boundBy } from "./compose.ts";
import { codeOf, type SourcePart } from "./snippet.ts";
import { Constants } from "./unroll.ts";

/** Its variables that are bound, in the order of their numbers, and the invocations of a workgroup along x, y and z. */
export interface CompiledInterface {
  readonly bindings: readonly Omit<Bound, "at">[];
  readonly workgroup: readonly [number, number, number];
}

/** The interface of a composed shader. Throws where its workgroup's size is no number of constants. */
export function interfaceOf(label: string, parts: readonly SourcePart[]): CompiledInterface {
  const code = parts.map(({ text }) => codeOf(text)).join("\n");
  const constants = new Constants(label, code);
  const [, sizes = "1"] = /@workgroup_size\s*\(((?:[^()]|\([^()]*\))*)\)/.exec(code) ?? [];
  const [x = 1, y = 1, z = 1] = sizes.split(/,(?![^(]*\))/).filter((text) => text.trim())
    .map((text) => constants.valueOf(text));
  const bound = boundBy(code).toSorted((a, b) => a.binding! - b.binding!);
  return { bindings: bound.map(({ at: _, ...binding }) => binding), workgroup: [x, y, z] };
}
