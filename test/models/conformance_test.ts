import assert from "node:assert/strict";
import { openDevice } from "../../src/mod.ts";
import { conform, familiesOf, strangersOf, type Verdict } from "../conformance/mod.ts";
import { compare, EXACT, refused, within, worst } from "../conformance/verdict.ts";
import { TestFolder } from "../support/files.ts";
import { fixture } from "../support/fixtures.ts";

const set = fixture("");

Deno.test("the fixtures are a set of every family that is built", () => {
  assert.deepEqual(familiesOf(set), [
    "random",
    "ops",
    "tensor",
    "schedulers",
    "ddpm",
    "bad",
    "flux",
    "flux2",
    "zimage",
  ]);
});

for (const family of familiesOf(set).filter((family) => family !== "tensor")) { // see test/tensor/conformance_test.ts
  Deno.test(`every case of ${family} stays within its bound`, async () => {
    using _device = await openDevice({ engine: "dawn" });
    assertPassed(await Array.fromAsync(conform(set, family)));
  });
}

Deno.test("schedulers stay within their bounds on Deno's own WebGPU too", async () => {
  using _device = await openDevice({ engine: "deno" });
  const verdicts: Verdict[] = [];
  for await (const verdict of conform(set, "schedulers")) {
    if (verdicts.push(verdict) === 20) break; // it compiles slowly where there is no GPU
  }
  assertPassed(verdicts);
});

Deno.test("conform() counts a family that breaks off as a failure", async () => {
  const verdicts = await Array.fromAsync(conform(fixture("generator"), "ops"));
  assert.deepEqual(verdicts.map(({ id, status }) => [id, status]), [["(the rest)", "failed"]]);
});

Deno.test("families that are not known are named as skipped", async () => {
  assert.deepEqual(strangersOf(set), []);
  using folder = new TestFolder();
  for (
    const path of ["flux/expected/a", "flux9/expected/a", "sd9/large/expected/a", "report/a", "notes/b/c"]
  ) {
    folder.write(path, "");
  }
  assert.deepEqual(strangersOf(folder.path), ["flux9", "sd9"]);
  assert.deepEqual(await Array.fromAsync(conform(folder.path, "flux9")), [
    { id: "(all)", status: "skipped", note: "the family is not known" },
  ]);
});

Deno.test("compare() fails beyond the bound, on NaN and on another length", () => {
  assert.equal(compare("x", [1, 2], [1, 2], EXACT).status, "passed");
  assert.equal(compare("x", [1, 2.1], [1, 2], { rel: 0.1 }).status, "passed");
  assert.equal(compare("x", [1, 2.1], [1, 2], { abs: 0.05 }).note, "at 1 got 2.1, want 2");
  assert.equal(compare("x", [1, NaN], [1, 2], { rel: 1 }).status, "failed");
  assert.equal(compare("x", [1], [1, 2], { rel: 1 }).note, "got 1 values, want 2");
});

Deno.test("worst() names the part that failed, or else the one nearest to its bound", () => {
  const parts = [within("a", 0, 0, ""), within("b", 1, 4, ""), within("c", 1, 2, "")];
  assert.deepEqual(worst("all", parts), { id: "all", status: "passed", error: 1, tolerance: 2 });
  assert.equal(worst("all", [...parts, within("d", 9, 2, "too far")]).note, "d: too far");
});

Deno.test("refused() wants one line for users", () => {
  assert.equal(refused("x", new Error("Cannot load x: expected weights, got none")).status, "passed");
  assert.equal(refused("x", new Error("Cannot load x:\nno weights")).status, "failed");
  assert.equal(refused("x", new TypeError("undefined is not a function")).status, "failed");
});

function assertPassed(verdicts: Verdict[]) {
  const failed = verdicts.filter(({ status }) => status === "failed");
  assert.deepEqual(failed, []);
  assert.ok(verdicts.some(({ status }) => status === "passed"));
}
