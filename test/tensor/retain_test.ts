import assert from "node:assert/strict";
import { release, retain, scope, tensor } from "../../src/tensor/mod.ts";
import "../support/device.ts";

Deno.test("retain() keeps a tensor beyond the scopes that own it, until every retain() has its release()", async () => {
  const old = tensor([1, 2], [2]);
  const made = inScope();
  assert.deepEqual([...await old.data()], [1, 2]);
  assert.deepEqual([...await made.data()], [2, 4]);
  release(old);
  release(made);
  await assert.rejects(old.data(), /disposed/);
  assert.deepEqual([...await made.data()], [2, 4]); // held twice
  release(made);
  await assert.rejects(made.data(), /disposed/);

  function inScope() {
    using _step = scope(retain(old));
    return retain(retain(old.mul(2)));
  }
});

Deno.test("release() leaves a tensor that no scope has ended for, and one that nothing retains", async () => {
  const free = retain(tensor([1], [1]));
  release(free);
  release(free);
  assert.deepEqual([...await free.data()], [1]);
});

Deno.test("a scope that is disposed twice leaves another's tensors alone", async () => {
  const outer = scope();
  const inner = scope();
  inner[Symbol.dispose]();
  inner[Symbol.dispose]();
  const made = tensor([1]).add(1);
  await made.data();
  outer[Symbol.dispose]();
  await assert.rejects(made.data(), /disposed/);
});
