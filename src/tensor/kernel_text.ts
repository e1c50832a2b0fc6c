import { type PlainDType, storedType } from "../core/dtype.ts";
import { boundBy } from "../gpu/shader/compose.ts";
import { codeOf } from "../gpu/shader/snippet.ts";

/** Names that the executor adds to a kernel's text. */
const TAKEN =
  /^(?:@group.*\s)?(?:fn|struct|alias|const|override|var\s*<[^>]*>)\s+(y|work|Work|store|x\d+_data|workgroup_number)\b/m;

/** Throws where a kernel's text cannot fit its inputs, as far as that shows without a compiler. */
export function expectKernelText(
  name: string,
  wgsl: string,
  inputs: readonly PlainDType[],
  set: Readonly<Record<string, string | number>>,
): void {
  const code = codeOf(wgsl);
  const refuse = (message: string): never => {
    throw new TypeError(`Cannot run ${name}: ${message}`);
  };
  if (!/\bfn\s+main\b/.test(code)) refuse("expected an entry point `fn main`, got none");
  if (!/\bstore\s*\(/.test(code)) {
    refuse("expected results in store(batch, row, column, value), got no call of it");
  }
  const taken = TAKEN.exec(code)?.[1];
  if (taken) {
    refuse(`expected names of its own, got "${taken}", which is declared beside it; call it otherwise`);
  }
  const [, group] = /@group\(\s*(?!0\s*\))([^)]*)\)/.exec(code) ?? [];
  if (group !== undefined) refuse(`expected variables in @group(0), got one in @group(${group.trim()})`);
  const written = boundBy(wgsl).find(({ use }) => use === "write");
  if (written) {
    refuse(
      `expected inputs as \`var<storage, read>\`, got ${written.name}, which is written to; results go to store()`,
    );
  }
  const output = inputs.length;
  for (const [, number] of code.matchAll(/@binding\(\s*(\d+)\s*\)/g)) {
    const binding = Number(number);
    if (binding === output) {
      refuse(`expected no binding ${binding}, which is the output's; it is declared beside the kernel`);
    }
    if (binding > output + 1) {
      refuse(`expected bindings of ${output} inputs from 0, and ${output + 1} for params, got ${binding}`);
    }
  }
  const arrays = boundBy(wgsl).filter(({ use }) => use === "read");
  const free = [...inputs.keys()].filter((i) => arrays.every(({ binding }) => binding !== i));
  for (const { name: variable, type, binding = free.shift() } of arrays) {
    const dtype = inputs[binding!];
    const [, element] = /^array\s*<\s*([\w<>\s]+?)\s*,?\s*>$/.exec(type) ?? [];
    const declared = element && elementOf(element, code, set);
    if (dtype && declared && declared !== storedType(dtype)) {
      refuse(
        `expected ${variable} to hold ${declared}, as its text says, got a tensor of ${dtype}; cast the tensor, or set ` +
          "the type through an alias",
      );
    }
  }
}

const SHORT = { f: "f32", h: "f16", i: "i32", u: "u32" } as const;

/** The type of an array's elements; undefined where that is a type of the kernel's own. */
function elementOf(
  type: string,
  code: string,
  set: Readonly<Record<string, string | number>>,
): string | undefined {
  const [, inner] = /^vec[234]\s*<\s*(\w+)\s*>$/.exec(type) ?? [];
  if (inner) return elementOf(inner, code, set);
  const [, letter] = /^vec[234]([fhiu])$/.exec(type) ?? [];
  if (letter) return SHORT[letter as keyof typeof SHORT];
  if (["f32", "f16", "i32", "u32"].includes(type)) return type;
  const [, aliased] = new RegExp(`\\balias\\s+${type}\\s*=\\s*([^;]+?)\\s*;`).exec(code) ?? [];
  const given = Object.hasOwn(set, type) ? String(set[type]) : aliased;
  return given && given !== type ? elementOf(given, code, {}) : undefined;
}
