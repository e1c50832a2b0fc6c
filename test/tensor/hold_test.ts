import assert from "node:assert/strict";
import { openDevice } from "../../src/gpu/open.ts";
import { hold, letGo, scope, tensor } from "../../src/tensor/mod.ts";

Deno.test("hold() keeps a tensor beyond the scopes that own it, until every holder has let go", async () => {
  using _device = await openDevice();
  const old = tensor([1, 2], [2]);
  const made = inScope();
  assert.deepEqual([...await old.data()], [1, 2]);
  assert.deepEqual([...await made.data()], [2, 4]);
  letGo(old);
  letGo(made);
  await assert.rejects(old.data(), /disposed/);
  assert.deepEqual([...await made.data()], [2, 4]); // held twice
  letGo(made);
  await assert.rejects(made.data(), /disposed/);

  function inScope() {
    using _step = scope(hold(old));
    return hold(hold(old.mul(2)));
  }
});

Deno.test("letGo() leaves a tensor that no scope has ended for, and one that nothing holds", async () => {
  using _device = await openDevice();
  const free = hold(tensor([1], [1]));
  letGo(free);
  letGo(free);
  assert.deepEqual([...await free.data()], [1]);
});
