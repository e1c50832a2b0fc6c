import assert from "node:assert/strict";
import type { Outcome } from "../support/child.ts";
import { fixture } from "../support/fixtures.ts";
import { runScript } from "../support/script.ts";

const root = `${import.meta.dirname}/../..`;

const wrong: Record<string, [args: string[], line: RegExp]> = {
  "no folder": [
    [],
    /^Cannot run scripts\/conformance.ts <folder>: expected folder, got none; --help says more\n$/,
  ],
  "two folders": [
    ["a", "b"],
    /^Cannot take "b": expected folder without a name; --help lists the options\n$/,
  ],
  "an unknown family": [
    ["a", "--only", "vision"],
    /^Cannot take --only vision: expected random or ops or [a-z2 ]+\n$/,
  ],
  "an unknown engine": [
    ["a", "--engine", "cuda"],
    /^Cannot take --engine cuda: expected auto or dawn or deno\n$/,
  ],
  "an unknown type": [
    ["a", "--dtype", "int8"],
    /^Cannot take --dtype int8: expected f32 or f16\n$/,
  ],
  "a folder without a set": [
    ["no-such-folder", "--only", "ops"],
    /^Cannot run conformance: expected a folder with ops, got no-such-folder\n$/,
  ],
  "a report that could not be written": [
    ["no-such-folder", "--json", "none/a.json"],
    /^Cannot take --json none\/a.json: expected a folder none, got none; create it first\n$/,
  ],
};
for (const [what, [args, line]] of Object.entries(wrong)) {
  Deno.test(`conformance ends with one line on ${what}`, async () => {
    const { code, stdout, stderr } = await run(...args);
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, line);
  });
}

Deno.test("conformance prints a line for each case and their count, and writes them as JSON", async () => {
  const folder = await Deno.makeTempDir();
  const json = `${folder}/report.json`;
  const { code, stdout } = await run(fixture(""), "--only", "random", "--json", json);
  const report = JSON.parse(await Deno.readTextFile(json));
  await Deno.remove(folder, { recursive: true });
  assert.equal(code, 0);
  assert.match(stdout, /^passed +0 +0 {2}random cpu\/rand\/float16\/seed0\/n1$/m);
  assert.match(stdout, new RegExp(`^${report.passed} passed, 0 failed, 0 skipped$`, "m"));
  assert.equal(report.results.length, report.passed);
});

Deno.test("conformance exits with 1 where a case failed", async () => {
  const folder = await Deno.makeTempDir();
  await Deno.mkdir(`${folder}/ops`);
  const { code, stdout } = await run(folder);
  await Deno.remove(folder, { recursive: true });
  assert.equal(code, 1);
  assert.match(stdout, /\n0 passed, 1 failed, 0 skipped\n$/);
});

Deno.test("conformance runs in f16, counts what a forced kernel computed, and fails where that is nothing", async () => {
  const [right, wrong] = await Promise.all(
    ["gemm_tiled", "gemm_none"].map((name) =>
      run(fixture(""), "--only", "ops", "--dtype", "f16", "--candidate", name)
    ),
  );
  const count = ({ stdout }: Outcome) => stdout.trim().split("\n").at(-1)!;
  assert.equal(right!.code, 0, right!.stdout);
  assert.match(count(right!), /^[1-9]\d* of \d+ dispatches by kernels named gemm_tiled$/);
  assert.equal(wrong!.code, 1);
  assert.match(count(wrong!), /^0 of \d+ dispatches by kernels named gemm_none$/);
  assert.match(wrong!.stdout, /\n\d+ passed, 0 failed, 1 skipped\n/); // inputs that f16 does not hold
});

function run(...args: string[]): Promise<Outcome> {
  return runScript(root, "conformance.ts", ...args);
}
