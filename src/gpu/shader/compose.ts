/** Makes the text of a shader from snippets: their order, settings, bindings, extensions. */
import type { BindingUse } from "./pipelines.ts";
import { codeOf, hostSets, lineOf, type Snippet, type SourcePart } from "./snippet.ts";

/** Values for a shader's `alias NAME = …;` and `const NAME: type = …;` lines. */
export type Settings = Readonly<Record<string, string | number>>;

/** Snippets, and the bindings that their variables take. */
export interface Section {
  /** Snippets; those that they need are added. */
  readonly code: readonly Snippet[];
  /** For its variables: the first `var<storage, read>` takes the first "read", and so on. */
  readonly bindings: readonly BindingUse[];
}

/** Parts of a shader. */
export interface Shader {
  /** As errors call it. */
  readonly label: string;
  /** The part that computes. */
  readonly kernel: Section;
  readonly set?: Settings | undefined;
  /** The part that stores the results, where that is generated: it declares what the kernel's section has as "write". */
  readonly store?: Section | undefined;
}

/**
 * The parts of a shader's text, in order. Their lines are those of the snippets, so that errors name them.
 * `texts` stand in place of snippets' own.
 */
export function compose(
  { label, kernel, set = {}, store = { code: [], bindings: [] } }: Shader,
  texts?: ReadonlyMap<Snippet, string>,
): SourcePart[] {
  const own = inOrder(label, kernel.code, texts);
  const others = inOrder(label, [...kernel.code, ...store.code], texts).slice(own.length);
  const parts = [
    ...setLines(label, own, set).map((part) => ({ ...part, isKernel: true })),
    ...others.map(({ name, text }) => ({ name, text, isKernel: false })),
  ].map((part) => ({ ...part, reason: reasonOf(part.name, kernel, store) }));
  return withDirectives(label, numbered(label, parts, kernel.bindings, store.bindings));
}

function reasonOf(name: string, kernel: Section, store: Section): NonNullable<SourcePart["reason"]> {
  const lists = ({ code }: Section) => code.some((snippet) => snippet.name === name);
  return lists(store) ? "written" : lists(kernel) ? "listed" : "needed";
}

/**
 * Snippets and those that they need, each once and behind what it needs, with the texts that stand in place
 * of theirs.
 */
export function inOrder(
  label: string,
  code: readonly Snippet[],
  texts?: ReadonlyMap<Snippet, string>,
): Snippet[] {
  const found = new Map<string, Snippet>();
  const open: Snippet[] = [];
  const visit = (snippet: Snippet) => {
    const { name, text, needs = [] } = snippet;
    if (open.includes(snippet)) {
      const names = [...open.slice(open.indexOf(snippet)), snippet].map((s) => s.name);
      throw new Error(`Cannot compose ${label}: expected needs in one direction, got ${names.join(" → ")}`);
    }
    const known = found.get(name);
    if (known?.text === text) return;
    if (known) throw new Error(`Cannot compose ${label}: expected one text named ${name}, got two`);
    open.push(snippet);
    needs.forEach(visit);
    open.pop();
    found.set(name, snippet);
  };
  code.forEach(visit);
  const all = [...found.values()];
  if (!texts?.size) return all;
  return all.map((snippet) => {
    const text = texts.get(snippet);
    return text === undefined ? snippet : { ...snippet, text, sets: hostSets(text) };
  });
}

/** Sets lines in the snippets that let them be set. Throws where none does. */
function setLines(label: string, code: readonly Snippet[], set: Settings): SourcePart[] {
  const takes = ({ text, sets }: Snippet, name: string) => sets ? sets.has(name) : lineOf(name).test(text);
  for (const name of Object.keys(set)) {
    if (code.some((snippet) => takes(snippet, name))) continue;
    const closed = code.find(({ text }) => lineOf(name).test(text));
    throw new Error(
      closed
        ? `Cannot set "${name}" of ${label}: ${closed.name} has it, but does not list it in its line \`// Host sets: …\``
        : `Cannot set "${name}" of ${label}: expected a line \`alias ${name} = …;\` or ` +
          `\`const ${name}: type = …;\` in ${code.map((snippet) => snippet.name).join(" or ")}, got none`,
    );
  }
  return code.map((snippet) => {
    const own = Object.entries(set).filter(([name]) => takes(snippet, name));
    return {
      name: snippet.name,
      text: own.reduce((text, [name, value]) => text.replace(lineOf(name), `$1${value};`), snippet.text),
      set: own.map(([name]) => name),
    };
  });
}

/** A variable that is bound. */
export interface Bound {
  readonly name: string;
  readonly use: BindingUse;
  /** As its text says, e.g. "array<vec4f>". */
  readonly type: string;
  /** Index of the `var` that begins its declaration. */
  readonly at: number;
  /** Its `@binding`, where the text has it: a number, or NaN for an expression. */
  readonly binding?: number | undefined;
}

const VARIABLE =
  /((?:@\w+\s*\([^)]*\)\s*)*)\bvar\s*<\s*(storage|uniform)\s*(?:,\s*(read|read_write)\s*)?>\s*(\w+)\s*:\s*([^;]*);/g;

/** The variables of a text that are bound, in order of declaration. */
export function boundBy(text: string): Bound[] {
  return [...codeOf(text).matchAll(VARIABLE)].map((match) => {
    const [, attributes, space, access, name, type] = match;
    const use = space === "uniform" ? "uniform" : access === "read_write" ? "write" : "read";
    const [, number] = /@binding\s*\(([^)]*)\)/.exec(attributes!) ?? [];
    return {
      name: name!,
      use,
      type: type!.trim(),
      at: match.index + attributes!.length,
      ...number !== undefined && { binding: Number(number) },
    };
  });
}

/** A part that belongs to the kernel, or to what stores its results. */
interface Half extends SourcePart {
  readonly isKernel: boolean;
}

/** Numbers the variables that have no `@binding` of their own. Throws where they are not as many as the bindings. */
function numbered(
  label: string,
  parts: readonly Half[],
  kernel: readonly BindingUse[],
  store: readonly BindingUse[],
): SourcePart[] {
  const all = parts.map(({ text }) => boundBy(text));
  const taken = new Set(all.flat().flatMap(({ binding }) => binding ?? []));
  const isExplicit = all.some((bound, i) => parts[i]!.isKernel && bound.some((b) => b.binding !== undefined));
  const uses = [...kernel, ...store];
  const next = (use: BindingUse, isKernel: boolean) => {
    const first = isKernel || use === "write" ? 0 : kernel.length; // results are the kernel's, whoever stores them
    const end = isKernel ? kernel.length : uses.length;
    const at = uses.findIndex((u, i) => u === use && i >= first && i < end && !taken.has(i));
    taken.add(at);
    return at;
  };
  const declared = (use: BindingUse) =>
    all.flatMap((bound, i) =>
      parts[i]!.isKernel ? bound.filter((b) => b.use === use).map((b) => b.name) : []
    );
  const refuse = (use: BindingUse): never => {
    const count = kernel.filter((u) => u === use).length;
    throw new Error(
      `Cannot compose ${label}: expected ${count} ${count === 1 ? "variable" : "variables"} ${
        DECLARED[use]
      }, got ${declared(use).join(", ") || "none"}`,
    );
  };
  const result = parts.map(({ isKernel, ...part }, i) => {
    const { text } = part;
    let [code, from] = ["", 0];
    for (const { use, at, binding } of all[i]!) {
      if (binding !== undefined) continue;
      const number = next(use, isKernel);
      if (number < 0) refuse(use);
      code += `${text.slice(from, at)}@group(0) @binding(${number}) `;
      from = at;
    }
    return { ...part, text: code + text.slice(from) };
  });
  const left = kernel.findIndex((_, i) => !taken.has(i));
  if (left >= 0 && !isExplicit) refuse(kernel[left]!);
  return result;
}

const DECLARED: Readonly<Record<BindingUse, string>> = {
  read: "`var<storage, read>`, one for each input",
  write: "`var<storage, read_write>`",
  uniform: "`var<uniform>`",
};

/** Extensions that must be enabled at the top of a text, by a pattern of their use. */
const EXTENSIONS: readonly (readonly [name: string, use: RegExp])[] = [
  ["f16", /\bf16\b|\b(?:vec[234]|mat[234]x[234])h\b|\b\d[\d.]*(?:e[+-]?\d+)?h\b/],
  ["subgroups", /\b(?:(?<!@)subgroup(?!_?[mM]atrix)[A-Z_]|num_subgroups\b|quad(?:Broadcast|Swap[XYD]))/],
  ["subgroup_size_control", /@subgroup_size\b/],
  ["chromium_experimental_subgroup_matrix", /\bsubgroup_?[mM]atrix/],
];

/** `enable`, `requires` and `diagnostic` may only stand in front of all else. */
const DIRECTIVE = /^[ \t]*(?:enable|requires|diagnostic)\b[^;]*;/gm;

/** Puts a part in front that enables what the others use, and has the directives that stand in them. */
function withDirectives(label: string, parts: readonly SourcePart[]): SourcePart[] {
  const found = new Set<string>();
  const rest = parts.map((part) => {
    const { text } = part;
    let [code, from] = ["", 0];
    for (const { 0: directive, index } of codeOf(text).matchAll(DIRECTIVE)) {
      found.add(directive.trim());
      code += text.slice(from, index) + directive.replaceAll(/[^\n]/g, " ");
      from = index + directive.length;
    }
    return { ...part, text: code + text.slice(from) };
  });
  const code = rest.map(({ text }) => codeOf(text)).join("\n");
  const enables = EXTENSIONS.flatMap(([name, use]) => use.test(code) ? `enable ${name};` : []);
  const directives = [...new Set([...enables, ...found])].join(" ");
  return [{ name: `directives of ${label}`, text: directives, reason: "written" }, ...rest];
}
