import activations from "../../../shaders/lib/activations.wgsl" with { type: "text" };
import functions from "../../../shaders/lib/functions.wgsl" with { type: "text" };
import type { Snippet } from "../../gpu/snippet.ts";

const namesIn = (text: string) => [...text.matchAll(/^fn (\w+)/gm)].map(([, name]) => name!);
const simple = new Set(namesIn(activations));
const all = new RegExp(`\\b(${[...simple, ...namesIn(functions)].join("|")})(?=\\()`, "g");

/**
 * What a function of the snippets is called in fused code: kernels have functions of their own, which may be called the
 * same.
 */
export function calledAs(name: string): string {
  return `fused_${name}`;
}

const renamed = (text: string) => text.replaceAll(all, (name) => calledAs(name));
const ACTIVATIONS: Snippet = { name: "shaders/lib/activations.wgsl (fused)", text: renamed(activations) };
const FUNCTIONS: Snippet = {
  name: "shaders/lib/functions.wgsl (fused)",
  text: renamed(functions),
  needs: [ACTIVATIONS],
};

/** The snippets that declare the functions which an expression calls. */
export function libraryOf(called: ReadonlySet<string>): Snippet[] {
  if (called.size === 0) return [];
  return [...called].every((name) => simple.has(name)) ? [ACTIVATIONS] : [FUNCTIONS];
}
