import assert from "node:assert/strict";
import { tensorOperations } from "../conformance/tensor.ts";
import { fixture } from "../support/fixtures.ts";
import { testOnBothEngines } from "../support/engines.ts";

testOnBothEngines("tensor operations give what torch gives", async () => {
  const verdicts = await Array.fromAsync(tensorOperations(fixture("tensor")));
  assert.deepEqual(verdicts.filter(({ status }) => status !== "passed"), []);
  assert.ok(verdicts.length > 1000);
});
