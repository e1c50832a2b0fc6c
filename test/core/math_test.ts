import assert from "node:assert/strict";
import { linspace, linspaceF32, roundHalfEven, solve } from "../../src/core/math.ts";
import { assertRelativelyClose } from "../support/close.ts";

Deno.test("linspaceF32() rounds as torch.linspace, from both ends", () => {
  assert.deepEqual([...linspaceF32(0.0001, 0.02, 7)], [
    9.999999747378752e-05,
    0.0034166667610406876,
    0.006733333226293325,
    0.010049999691545963,
    0.013366665691137314,
    0.01668333262205124,
    0.019999999552965164,
  ]);
  assert.deepEqual([...linspaceF32(-6, 6, 4)], [-6, -2, 2, 6]);
  assert.deepEqual([...linspaceF32(0.5, 1, 1)], [0.5]);
});

Deno.test("linspace() ends exactly at its end", () => {
  assert.deepEqual(linspace(0, 999, 4), [0, 333, 666, 999]);
  assert.equal(linspace(0, 0.3, 4).at(-1), 0.3);
  assert.deepEqual(linspace(3, 9, 1), [3]);
});

Deno.test("roundHalfEven() rounds halves to the even number", () => {
  assert.deepEqual([0.5, 1.5, 2.5, 3.4999, 3.5001, 7].map(roundHalfEven), [0, 2, 2, 3, 4, 7]);
});

Deno.test("solve() solves a system that needs its rows exchanged", () => {
  assertRelativelyClose(solve([[0, 2, 1], [1, 0, 0], [3, 1, 2]], [7, 1, 11]), [1, 2, 3], 1e-15, "x");
});
