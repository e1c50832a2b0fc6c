import assert from "node:assert/strict";
import { tensor } from "../../src/tensor/mod.ts";
import { assertClose } from "../support/close.ts";
import "../support/device.ts";
import { Dice } from "../support/dice.ts";
import { testOnBothEngines } from "../support/engines.ts";

testOnBothEngines("sort() keeps the order of equal elements over several merges", async () => {
  const dice = new Dice(120);
  const [rows, columns] = [3, 5003]; // ten blocks, the last not full
  const values = Float32Array.from({ length: rows * columns }, () => dice.int(0, 40) / 4);
  for (const descending of [false, true]) {
    const { values: got, indices } = tensor(values, [rows, columns]).sort(1, { descending });
    const want = Array.from({ length: rows }, (_, row) => {
      const own = values.subarray(row * columns, (row + 1) * columns);
      const sign = descending ? -1 : 1;
      return [...own.keys()].sort((a, b) => sign * (own[a]! - own[b]!) || a - b);
    });
    assert.deepEqual([...await indices.data()], want.flat());
    assert.deepEqual(
      [...await got.data()],
      want.flatMap((order, row) => order.map((i) => values[row * columns + i]!)),
    );
  }
});

Deno.test("a running sum of 100,001 values keeps six digits", async () => {
  const values = new Dice(121).numbers(100_001, 1).map((v) => v + 1);
  const want = new Float64Array(values.length);
  let sum = 0;
  values.forEach((v, i) => want[i] = sum += v);
  const got = await tensor(values).cumsum(0).data();
  assertClose(Array.from(got, (v, i) => v / want[i]!), Array(want.length).fill(1), 1e-6, "cumsum");
});

Deno.test("max() and min() along an axis tell where, of equal ones the first, NaN before all", async () => {
  const x = tensor([3, 7, 7, 1, NaN, 2, NaN, -1, 5, 5, 0, 0], [3, 4]);
  const most = x.max(1, { indices: true });
  assert.deepEqual([...await most.values.data()], [7, NaN, 5]);
  assert.deepEqual([...await most.indices.data()], [1, 0, 0]);
  const least = x.min(1, { indices: true, keepdim: true });
  assert.deepEqual(least.indices.shape, [3, 1]);
  assert.deepEqual([...await least.values.data()], [1, NaN, 0]);
  assert.deepEqual([...await least.indices.data()], [3, 0, 2]);
});

Deno.test("topk() and argmax() refuse what torch refuses", () => {
  const x = tensor([1, 2, 3]);
  assert.throws(
    () => x.topk(4),
    /^RangeError: Cannot take the top 4 of tensor \[3\] f32: expected 0 to 3 along axis -1$/,
  );
  assert.throws(
    () => tensor([]).argmax(),
    /^RangeError: Cannot take the argmax of tensor \[0\] f32: expected at /,
  );
});
