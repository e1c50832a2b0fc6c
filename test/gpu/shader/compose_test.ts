import assert from "node:assert/strict";
import { boundBy, compose, type Shader } from "../../../src/gpu/shader/compose.ts";
import {
  codeOf,
  hostSets,
  keyOf,
  lineOf,
  paramsText,
  type Snippet,
  snippet,
} from "../../../src/gpu/shader/snippet.ts";
import { shaderFiles } from "../../support/shader_files.ts";

const textOf = (shader: Omit<Shader, "label">) =>
  compose({ label: "k", ...shader }).map(({ text }) => text).filter((text) => text).join("\n");
const kernel = (code: readonly Snippet[], bindings: Shader["kernel"]["bindings"] = []) => ({
  code,
  bindings,
});

Deno.test("compose() puts what a snippet needs in front of it, each once", () => {
  const a = snippet("a", "a");
  const b = snippet("b", "b", [a]);
  const c = snippet("c", "c", [b, snippet("a", "a")]);
  assert.equal(textOf({ kernel: kernel([c, b]) }), "a\nb\nc");
  const store = { code: [{ name: "store", text: "s", needs: [a, snippet("d", "d")] }], bindings: [] };
  assert.equal(textOf({ kernel: kernel([b]), store }), "a\nb\nd\ns");
});

Deno.test("compose() refuses needs in a circle, and two texts of one name", () => {
  const needs: Snippet[] = [];
  const a = snippet("a", "a", needs);
  const b = snippet("b", "b", [a]);
  needs.push(b);
  assert.throws(() => textOf({ kernel: kernel([a]) }), {
    message: "Cannot compose k: expected needs in one direction, got " +
      "shaders/a.wgsl → shaders/b.wgsl → shaders/a.wgsl",
  });
  assert.throws(() => textOf({ kernel: kernel([snippet("a", "1"), snippet("a", "2")]) }), {
    message: "Cannot compose k: expected one text named shaders/a.wgsl, got two",
  });
});

Deno.test("compose() sets what a file's head lists, and in a text without one every line", () => {
  const text = "// Host sets: X, WG.\nalias X = f32;\nconst WG: u32 = 64; // lanes\nconst TILE: u32 = 8;";
  const file = snippet("tile", text);
  const set = { X: "i32", WG: 8 };
  const changed = text.replace("= f32", "= i32").replace("= 64", "= 8");
  assert.equal(textOf({ kernel: kernel([file]), set }), changed);
  assert.throws(() => textOf({ kernel: kernel([file]), set: { TILE: 4 } }), {
    message:
      'Cannot set "TILE" of k: shaders/tile.wgsl has it, but does not list it in its line `// Host sets: …`',
  });
  assert.throws(() => textOf({ kernel: kernel([file]), set: { ROWS: 4 } }), {
    message: 'Cannot set "ROWS" of k: expected a line `alias ROWS = …;` or `const ROWS: type = …;` in ' +
      "shaders/tile.wgsl, got none",
  });
  assert.match(
    textOf({ kernel: kernel([{ name: "own.wgsl", text }]), set: { TILE: 4 } }),
    /const TILE: u32 = 4;/,
  );
});

Deno.test("compose() numbers variables: inputs in order, results, params, then those of what stores", () => {
  const x = snippet("x", "var<storage, read> x: array<f32>;");
  const main = snippet("main", "var<uniform> params: Params;\n  var<storage,read> w : array<vec4f>;", [x]);
  const store = "var<storage, read> x0_data: array<f32>;\nvar<storage, read_write> y: array<f32>;\n" +
    "var<uniform> work: Work;";
  const parts = compose({
    label: "k",
    kernel: { code: [main], bindings: ["read", "read", "write", "uniform"] },
    store: { code: [{ name: "store", text: store }], bindings: ["read", "uniform"] },
  });
  const bound = parts.flatMap(({ text }) => boundBy(text)).map(({ name, binding }) => [binding, name]);
  assert.deepEqual(bound.sort(), [[0, "x"], [1, "w"], [2, "y"], [3, "params"], [4, "x0_data"], [5, "work"]]);
});

Deno.test("compose() lets numbers stand that a text has", () => {
  const text = "@group(0) @binding(1) var<storage, read> a: array<f32>;\nvar<storage> b: array<f32>;\n" +
    "@binding(3) @group(0) var<uniform> params: Params;";
  const own = { name: "own.wgsl", text };
  const bindings = ["read", "read", "write", "uniform"] as const;
  assert.equal(
    textOf({ kernel: kernel([own], bindings) }),
    text.replace("\nvar", "\n@group(0) @binding(0) var"),
  );
  const some = { name: "own.wgsl", text: text.replace(/.*\n/, "") }; // an input that it does not read
  assert.doesNotThrow(() => textOf({ kernel: kernel([some], bindings) }));
});

Deno.test("compose() refuses variables that do not fit the inputs, by their names", () => {
  const two = snippet("two", "var<storage, read> x: array<f32>;\nvar<storage, read> w: array<f32>;");
  const expected = (count: number, got: string) => ({
    message: `Cannot compose k: expected ${count} variable${
      count > 1 ? "s" : ""
    } \`var<storage, read>\`, one for each input, got ${got}`,
  });
  assert.throws(() => textOf({ kernel: kernel([two], ["read"]) }), expected(1, "x, w"));
  assert.throws(() => textOf({ kernel: kernel([two], ["read", "read", "read"]) }), expected(3, "x, w"));
  assert.throws(() => textOf({ kernel: kernel([two], ["read", "read", "uniform"]) }), {
    message: "Cannot compose k: expected 1 variable `var<uniform>`, got none",
  });
});

Deno.test("compose() enables what code uses, not what comments tell of", () => {
  const enabled = (text: string) => compose({ label: "k", kernel: kernel([{ name: "t", text }]) })[0]!.text;
  assert.equal(enabled("// f16\n/* subgroupAdd /* f16 */ f16 */ fn f() -> f32 { return 1.0; }"), "");
  assert.equal(enabled("alias X = f16;"), "enable f16;");
  assert.equal(enabled("const a = vec4h(); "), "enable f16;");
  assert.equal(enabled("const a = 1.5h;"), "enable f16;");
  assert.equal(enabled("fn f(x2h: f32, a0h: u32) {}"), "");
  assert.equal(enabled("fn f() { x = subgroupAdd(1); }"), "enable subgroups;");
  assert.equal(enabled("@builtin(subgroup_invocation_id) lane: u32"), "enable subgroups;");
  assert.equal(enabled("@compute @subgroup_size(WG) fn f() {}"), "enable subgroup_size_control;");
  assert.equal(
    enabled("alias M = subgroup_matrix_left<f16, 8, 8>;"),
    "enable f16; enable chromium_experimental_subgroup_matrix;",
  );
  assert.equal(enabled("fn f() { subgroupMatrixStore(); }"), "enable chromium_experimental_subgroup_matrix;");
});

Deno.test("compose() moves directives to the front, where alone they may stand, and leaves lines as they are", () => {
  const text = "// diagnostic(off, none);\ndiagnostic(off,\n  a.b); fn f() {}\nenable f16;\nfn g() {}";
  const parts = compose({ label: "k", kernel: kernel([snippet("a", "fn a() {}"), { name: "t", text }]) });
  assert.equal(parts[0]!.text, "diagnostic(off,\n  a.b); enable f16;");
  assert.deepEqual(parts[2]!.text.split("\n").map((line) => line.trim()), [
    "// diagnostic(off, none);",
    "",
    "fn f() {}",
    "",
    "fn g() {}",
  ]);
});

Deno.test("codeOf() blanks comments of both kinds, nested ones too, and keeps every place", () => {
  const text = "a // b /* c\nd /* e // f\n /* g */ h */ i /*/ j */ k";
  const code = codeOf(text);
  assert.equal(code.replaceAll(/ +/g, " "), "a \nd \n i k");
  for (const letter of "adik") assert.equal(code.indexOf(letter), text.indexOf(letter));
});

Deno.test("keyOf() is equal for equal texts with equal needs only", () => {
  const a = snippet("a", "a");
  assert.equal(keyOf(snippet("b", "b", [a])), keyOf(snippet("b", "b", [snippet("a", "a")])));
  assert.notEqual(keyOf(snippet("b", "b", [a])), keyOf(snippet("b", "b")));
  assert.notEqual(keyOf(snippet("b", "b", [a])), keyOf(snippet("b", "b", [snippet("a", "changed")])));
});

Deno.test("paramsText() finds the struct among needs", () => {
  const params = snippet("p", "struct Params { n: u32 }");
  assert.equal(paramsText([snippet("a", "// struct Params"), snippet("b", "", [params])]), params.text);
  assert.equal(paramsText([snippet("a", "// struct Params")]), "");
});

Deno.test("every file of shaders/ lists in its head lines that can be set, and numbers no binding", () => {
  let listed = 0;
  for (const { name, text } of shaderFiles()) {
    const lines = text.match(/^\/\/ *Host sets.*$/gm) ?? [];
    const head = text.slice(0, text.search(/^(?!\/\/)/m));
    assert.ok(lines.every((line) => head.includes(line)) && lines.length <= 1, `${name}: ${lines}`);
    assert.equal(hostSets(text).size > 0, lines.length > 0, `${name}: ${lines}`);
    for (const constant of hostSets(text)) {
      listed++;
      assert.match(text, lineOf(constant), `${name} lists ${constant}`);
    }
    assert.ok(boundBy(text).every(({ binding }) => binding === undefined), `${name} numbers a binding`);
  }
  assert.ok(listed > 30, `only ${listed} were found`);
});
