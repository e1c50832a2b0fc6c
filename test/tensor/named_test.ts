import assert from "node:assert/strict";
import {
  currentPath,
  isWanted,
  labelled,
  named,
  type Tensor,
  tensor,
  watched,
  type Watcher,
} from "../../src/tensor/mod.ts";
import "../support/device.ts";

Deno.test("named() joins the names of nested parts, and forgets them after a failure", () => {
  assert.equal(named("down_blocks", () => named("0", currentPath)), "down_blocks.0");
  assert.throws(() =>
    named("up", () => {
      throw new Error("broken");
    }), /broken/);
  assert.equal(currentPath(), "");
});

/** Sees every part, asks for one, and changes what `change` knows. */
function watcher(change: Record<string, (x: Tensor) => Tensor> = {}) {
  const seen: [path: string, output: Tensor, inputs: readonly Tensor[]][] = [];
  const watcher: Watcher = {
    wants: (path) => path === "block.maps",
    visit: (path, output, inputs) => {
      seen.push([path, output, inputs]);
      return change[path]?.(output) ?? output;
    },
  };
  return { seen, watcher };
}

Deno.test("watched() shows every named part by its path in the model, with what it was computed from", async () => {
  const { seen, watcher: by } = watcher();
  const result = named("loop", () =>
    watched(by, () =>
      named("block", () => {
        const x = tensor([1, 2]);
        const y = named("conv", () => x.add(1), [x]);
        return labelled("joined", () => named("act", () => y.mul(2), [y]));
      })));
  assert.deepEqual(seen.map(([path]) => path), ["block.conv", "block.joined.act", "block"]);
  assert.equal(seen[2]![1], result);
  assert.deepEqual([...await seen[0]![1].data()], [2, 3]);
  assert.deepEqual([...await seen[0]![2][0]!.data()], [1, 2]);
  assert.deepEqual([...await result.data()], [4, 6]);
});

Deno.test("watched() shows several results by their numbers, as diffusers' tuples, and the last by the path", async () => {
  const { seen, watcher: by } = watcher({ block: (x) => x.add(10), "block.0": (x) => x.neg() });
  const [a, b] = watched(by, () => named("block", () => [tensor([1]), tensor([2]).add(1)]));
  assert.deepEqual(seen.map(([path]) => path), ["block.0", "block.1", "block"]);
  assert.deepEqual([await a!.item(), await b!.item()], [-1, 13]);
});

Deno.test("isWanted() asks the watcher for a part by its path, and nobody where none is there", () => {
  const { watcher: by } = watcher();
  const asked = () => named("block", () => [isWanted("maps"), isWanted("other")]);
  assert.deepEqual(watched(by, asked), [true, false]);
  assert.deepEqual(asked(), [false, false]);
});
