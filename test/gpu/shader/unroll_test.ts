import assert from "node:assert/strict";
import { unroll } from "../../../src/gpu/shader/unroll.ts";
import { shaderFiles } from "../../support/shader_files.ts";

const unrolled = (text: string, ...others: string[]) =>
  unroll("k", [{ name: "a.wgsl", text }, ...others.map((text, i) => ({ name: `${i}.wgsl`, text }))])[0]!.text;

Deno.test("unroll() writes marked loops out, inner ones too, and leaves their lines and the others where they are", () => {
  const text = `const ROWS: u32 = 2 * N;
fn sum() {
  for (var i = 0u; i < ROWS; i++) { // unrolled: why
    x[i] = 1; // one
    for (var j = 0u; j < 8; j += N + 2) { // unrolled
      y[i + j] = 2;
    }
  }
  for (var i = 0u; i < ROWS; i++) {
    z += 1;
  }
}`;
  const inner = (j: number) => `{ const j = ${j}u; y[i + j] = 2; }`;
  assert.equal(
    unrolled(text, "const N: u32 = 2;"),
    `const ROWS: u32 = 2 * N;
fn sum() {
  { const i = 0u; // unrolled: why
    x[i] = 1; // one
    { const j = 0u; // unrolled
      y[i + j] = 2;
    } ${inner(4)}
  }${
      [1, 2, 3].map((i) => ` { const i = ${i}u; x[i] = 1; { const j = 0u; y[i + j] = 2; } ${inner(4)} }`)
        .join("")
    }
  for (var i = 0u; i < ROWS; i++) {
    z += 1;
  }
}`,
  );
});

Deno.test("unroll() takes whole numbers as WGSL does, begins where a loop begins, and drops what never runs", () => {
  const turns = (bound: string, from = "0u") =>
    unrolled(
      `for (var i = ${from}; i < ${bound}; i++) { // unrolled\n  f();\n}`,
      "const A: u32 = 7;\nconst B = (A + 1) / 3;",
    )
      .match(/f\(\)/g)?.length ?? 0;
  assert.deepEqual(
    [turns("A"), turns("B"), turns("max(A % 4, B) * 2 - 1"), turns("(A + B - 1) / B", "1u"), turns("0")],
    [7, 2, 5, 3, 0],
  );
});

Deno.test("unroll() refuses bounds that are no constants, bodies that leave the loop, and what never ends", () => {
  const loop = (head: string, body = "f();") => () => unrolled(`for (${head}) { // unrolled\n${body}\n}`);
  const head = "Cannot compose k: expected";
  assert.throws(loop("var i = 0u; i < params.k; i++"), {
    message: `${head} a whole number of constants, got params.k`,
  });
  assert.throws(loop("var i = 0u; i < 4; i++", "break;"), {
    message:
      `${head} no break or continue in an unrolled loop, got one in for (var i = 0u; i < 4; i++) { // unrolled`,
  });
  assert.throws(loop("var i = 0u; i < 4; i += 0"), /expected at most 256 turns/);
});

Deno.test("unroll() keeps a counter's type, whatever the comment says, and leaves loops in comments", () => {
  const loop = (from: string) =>
    `for (var i = ${from}; i < 2; i++) { // unrolled (as ROWS > 1) {\n  f(i);\n}`;
  const written = (type: string) =>
    `{ const i = 0${type}; // unrolled (as ROWS > 1) {\n  f(i);\n} { const i = 1${type}; f(i); }`;
  for (const [from, type] of [["0u", "u"], ["0", "i"], ["0i", "i"]] as const) {
    assert.equal(unrolled(loop(from)), written(type));
  }
  const comment = `/*\n${loop("0u")}\n*/\n`;
  assert.equal(unrolled(comment + loop("0u")), comment + written("u"));
});

Deno.test("all loops of shaders/ that say so are of the form that unroll() writes out", () => {
  const form = /^ *for \(var (\w+) = \d+u; \1 < [^;]+; \1(?:\+\+| \+= [^;{]+)\) \{ \/\/ unrolled\b/;
  const marked = shaderFiles().flatMap(({ text }) =>
    text.split("\n").filter((line) => line.includes("// unrolled"))
  );
  assert.ok(marked.length > 40);
  for (const line of marked) assert.match(line, form);
});
