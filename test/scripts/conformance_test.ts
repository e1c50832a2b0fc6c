import assert from "node:assert/strict";
import type { Outcome } from "../support/child.ts";
import { fixture } from "../support/fixtures.ts";
import { runScript } from "../support/script.ts";

const root = `${import.meta.dirname}/../..`;

const wrong: Record<string, [args: string[], line: string]> = {
  "no folder": [[], "expected one folder, got 0"],
  "two folders": [["a", "b"], "expected one folder, got 2"],
  "an unknown family": [
    ["a", "--only", "vision"],
    "expected a family of random, ops, tensor, schedulers, ddpm, bad, sd, flux, got vision",
  ],
  "an unknown engine": [["a", "--engine", "cuda"], "expected an engine of auto, dawn, deno, got cuda"],
  "a folder without a set": [
    ["no-such-folder", "--only", "ops"],
    "expected a folder with ops, got no-such-folder",
  ],
};
for (const [what, [args, line]] of Object.entries(wrong)) {
  Deno.test(`conformance ends with one line on ${what}`, async () => {
    assert.deepEqual(await run(...args), {
      code: 2,
      stdout: "",
      stderr: `Cannot run conformance: ${line}\n`,
    });
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

function run(...args: string[]): Promise<Outcome> {
  return runScript(root, "conformance.ts", ...args);
}
