import assert from "node:assert/strict";
import { promisify } from "node:util";
import { openDevice } from "../../../src/mod.ts";

const immediate = (run: unknown, ...rest: unknown[]) =>
  setImmediate(run as (...args: unknown[]) => void, ...rest);
const soon = () => new Promise((resolve) => setTimeout(resolve, 30));

Deno.test("an open device leaves setImmediate and clearImmediate to others as they are", async () => {
  using _device = await openDevice({ engine: "dawn" });
  assert.equal(await new Promise((resolve) => immediate(resolve, 42)), 42);
  assert.equal(await promisify(setImmediate)(43), 43);
  assert.throws(() => immediate("no function"), TypeError);

  const calls: unknown[][] = [];
  const note = (...args: unknown[]) => calls.push(args);
  const callbacks = [note, note.bind(null), new Proxy(note, {}), note.bind(null, 1)];
  for (const run of callbacks) immediate(run, 2, 3);
  await soon();
  assert.deepEqual(calls, [[2, 3], [2, 3], [2, 3], [1, 2, 3]]);

  calls.length = 0;
  for (const run of [...callbacks, (() => note()).bind(null)]) clearImmediate(immediate(run));
  await soon();
  assert.deepEqual(calls, []);
});
