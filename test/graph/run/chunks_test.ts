import assert from "node:assert/strict";
import { Leaf, type WeightPager } from "../../../src/graph/node.ts";
import type { Step } from "../../../src/graph/fusion/step.ts";
import { chunksOf, roomOf } from "../../../src/graph/run/chunks.ts";
import { device } from "../../support/device.ts";

const SLOT = 4096;

let pager: WeightPager;
Deno.test.beforeAll(() => {
  const slot = (i: number) => device.buffers.create(`slot ${i}`, SLOT, GPUBufferUsage.STORAGE);
  pager = { slots: [slot(0), slot(1)], fill: () => Promise.resolve(), check: () => Promise.resolve() };
});

Deno.test("chunksOf() cuts steps where the next weights do not fit, and lets chunks take turns in two slots", () => {
  const [a, b, c, d] = [400, 400, 400, 100].map(weight) as [Leaf, Leaf, Leaf, Leaf];
  const chunks = chunksOf([reading(a), reading(), reading(b), reading(a, b), reading(c), reading(a, d)]);
  assert.deepEqual(chunks.map(({ steps }) => steps), [[0, 1, 2, 3], [4, 5]]);
  assert.deepEqual(chunks.map(({ places }) => [...places.keys()]), [[a, b], [c, a, d]]);
  for (const [i, { places }] of chunks.entries()) {
    const ends = [...places.values()].map(({ buffer, offset, bytes }) => {
      assert.equal(buffer, pager.slots[i % 2]);
      assert.equal(offset % 256, 0);
      return [offset, offset + bytes];
    });
    for (const [j, [start]] of ends.entries()) assert.ok(j === 0 || start! >= ends[j - 1]![1]!);
  }
});

Deno.test("chunksOf() leaves weights out that are in memory, and makes one chunk where none is paged", () => {
  const here = weight(3000);
  here.pager = undefined;
  const chunks = chunksOf([reading(here), reading(here)]);
  assert.deepEqual(chunks.map(({ steps, places }) => [steps, places.size]), [[[0, 1], 0]]);
});

Deno.test("chunksOf() refuses a step whose weights do not fit in a slot", () => {
  assert.throws(() => chunksOf([reading(weight(600), weight(600))]), {
    message: 'Cannot stream "600" and "600": expected at most 4096 bytes of weights at once, got 5120',
  });
});

/** So many elements of f32. */
function weight(count: number): Leaf {
  const leaf = new Leaf("f32", count, String(count));
  leaf.pager = pager;
  assert.ok(roomOf(leaf) >= 4 * count);
  return leaf;
}

function reading(...inputs: Leaf[]): Step {
  return { inputs } as unknown as Step;
}
