import assert from "node:assert/strict";
import { openDevice } from "../../src/gpu/open/open.ts";
import { progress, tensor } from "../../src/tensor/mod.ts";
import "../support/device.ts";

Deno.test("progress() yields every item, computes each turn, and tells how far it is", async () => {
  using device = await openDevice();
  const lines: string[] = [];
  let x = tensor([0]);
  const seen: number[] = [];
  for await (const item of progress([5, 6, 7], { label: "draw", write: (text) => lines.push(text) })) {
    if (seen.length > 0) assert.ok(x.node.storage, "the turn before is submitted");
    seen.push(item);
    x = x.add(item);
  }
  assert.deepEqual(seen, [5, 6, 7]);
  assert.ok(x.node.storage);
  assert.equal(await x.item(), 18);
  assert.equal(lines[0], "draw   0% 0/3 [00:00<?]\n");
  assert.match(lines.at(-1)!, /^draw 100% 3\/3 \[\d\d:\d\d<00:00, .+(it\/s|s\/it)\]\n$/);
  await device.idle();
});

Deno.test("progress() of no items ends at once", async () => {
  for await (const _ of progress([], { write: false })) assert.fail("there is no item");
});

Deno.test("progress() ends with the reason of its signal, and leaves the device usable", async () => {
  const controller = new AbortController();
  let turns = 0;
  const loop = async () => {
    for await (const _ of progress([1, 2, 3, 4], { write: false, signal: controller.signal })) {
      if (++turns === 2) controller.abort(new Error("stopped by the user"));
    }
  };
  await assert.rejects(loop(), /^Error: stopped by the user$/);
  assert.equal(turns, 2);
  assert.equal(await tensor([1]).add(1).item(), 2);
});

Deno.test("progress() fails in the loop when the device is lost", async () => {
  using device = await openDevice();
  let [x, turns] = [tensor([0]), 0];
  const loop = async () => {
    for await (const _ of progress(Array(10).fill(0), { write: false })) {
      if (++turns === 3) device.gpu.destroy();
      x = x.add(1);
    }
  };
  await assert.rejects(loop(), { name: "DeviceLostError" });
  assert.ok(turns < 6, `${turns} turns`);
});
