import assert from "node:assert/strict";
import { openDevice } from "../../src/gpu/open.ts";
import { currentPath, named, tapped, tensor } from "../../src/tensor/mod.ts";

Deno.test("named() joins the names of nested parts, and forgets them after a failure", () => {
  assert.equal(named("down_blocks", () => named("0", currentPath)), "down_blocks.0");
  assert.throws(() =>
    named("up", () => {
      throw new Error("broken");
    }), /broken/);
  assert.equal(currentPath(), "");
});

Deno.test("tapped() keeps the result of every named part by its path", async () => {
  using _device = await openDevice();
  const { result, taps } = tapped(() =>
    named("block", () => {
      const x = named("conv", () => tensor([1, 2]).add(1));
      return named("act", () => x.mul(2));
    })
  );
  assert.deepEqual([...taps.keys()], ["block.conv", "block.act", "block"]);
  assert.equal(taps.get("block"), result);
  assert.deepEqual([...await taps.get("block.conv")!.data()], [2, 3]);
  assert.deepEqual([...await result.data()], [4, 6]);
});

Deno.test("tapped() keeps several results of a part by their numbers, as diffusers' tuples", async () => {
  using _device = await openDevice();
  const { result, taps } = tapped(() => named("block", () => [tensor([1]), tensor([2]).add(1)]));
  assert.deepEqual([...taps], [["block.0", result[0]], ["block.1", result[1]]]);
});
