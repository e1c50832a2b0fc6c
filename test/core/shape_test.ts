import assert from "node:assert/strict";
import {
  axisIndex,
  broadcast,
  channelsLastStrides,
  checkShape,
  contiguousStrides,
  placeOf,
  reshapeStrides,
  sameStrides,
  size,
} from "../../src/core/shape.ts";
import { Dice } from "../support/dice.ts";
import { addresses } from "../support/nd.ts";

Deno.test("contiguousStrides() and channelsLastStrides() walk memory in order", () => {
  assert.deepEqual(contiguousStrides([2, 3, 4]), [12, 4, 1]);
  assert.deepEqual(contiguousStrides([]), []);
  assert.deepEqual(channelsLastStrides([2, 3, 4, 5]), [60, 1, 15, 3]);
  assert.deepEqual(channelsLastStrides([2, 3]), [3, 1]);
  const walked = addresses([2, 4, 5, 3], [60, 15, 3, 1]);
  assert.deepEqual(walked, [...walked.keys()]);
});

Deno.test("placeOf() finds an element's place along axes in any order of memory", () => {
  assert.deepEqual(placeOf(1 * 60 + 2 * 20 + 3 * 5 + 4, [2, 3, 4, 5], [60, 20, 5, 1]), [1, 2, 3, 4]);
  assert.deepEqual(placeOf(3 + 4 * 4, [1, 1, 4, 5], [20, 20, 1, 4]), [0, 0, 3, 4]);
  assert.deepEqual(placeOf(5, [2, 6, 3], [0, 1, 0]), [0, 5, 0]);
  assert.deepEqual(placeOf(0, [], []), []);
});

Deno.test("broadcast() follows numpy", () => {
  assert.deepEqual(broadcast([3, 1], [4]), [3, 4]);
  assert.deepEqual(broadcast([], [2, 1]), [2, 1]);
  assert.deepEqual(broadcast([1], [0]), [0]);
  assert.deepEqual(broadcast([2, 0, 1], [1, 5]), [2, 0, 5]);
  assert.throws(() => broadcast([2, 3], [2]), {
    name: "RangeError",
    message: "Cannot broadcast [2, 3] with [2]: expected equal sizes or 1, got 3 and 2",
  });
  assert.throws(() => broadcast([0], [2]), RangeError);
});

Deno.test("axisIndex() counts negative axes from the back and refuses others", () => {
  assert.equal(axisIndex(-1, 3), 2);
  assert.equal(axisIndex(0, 3), 0);
  for (const axis of [3, -4, 0.5, NaN]) assert.throws(() => axisIndex(axis, 3), RangeError);
});

Deno.test("checkShape() refuses fractions, negative sizes and a seventh axis", () => {
  checkShape([]);
  checkShape([0, 1, 2, 3, 4, 5]);
  for (const shape of [[-1], [1.5], [NaN], [Infinity], [1, 1, 1, 1, 1, 1, 1]]) {
    assert.throws(() => checkShape(shape), RangeError);
  }
});

Deno.test("reshapeStrides() of random views addresses the same elements in the same order", () => {
  const dice = new Dice(1);
  let viewed = 0;
  for (let round = 0; round < 3000; round++) {
    // A view: sizes in some memory order, some axes broadcast, some only a part of what memory holds.
    const shape = dice.shape(4, 4);
    const strides = new Array<number>(shape.length);
    let stride = 1;
    for (const axis of dice.shuffled([...shape.keys()])) {
      const repeats = dice.int(0, 5) === 0;
      strides[axis] = repeats ? 0 : stride;
      if (!repeats) stride *= shape[axis]! + (dice.int(0, 4) === 0 ? 1 : 0);
    }
    const to = regrouped(dice, shape);
    const result = reshapeStrides(shape, strides, to);
    const expected = addresses(shape, strides);
    if (result) {
      viewed++;
      assert.deepEqual(addresses(to, result), expected, `[${shape}] by [${strides}] to [${to}]`);
    } else {
      assert.ok(!hasStrides(expected, to), `[${shape}] by [${strides}] can be viewed as [${to}]`);
    }
  }
  assert.ok(viewed > 1000, `only ${viewed} of the views were reshaped`);
});

Deno.test("reshapeStrides() takes shapes without elements and without axes", () => {
  assert.deepEqual(reshapeStrides([2, 0], [0, 1], [0, 7]), [7, 1]);
  assert.deepEqual(reshapeStrides([], [], [1, 1]), [1, 1]);
  assert.deepEqual(reshapeStrides([1, 1], [5, 3], []), []);
});

Deno.test("sameStrides() leaves axes of size 1 out", () => {
  assert.ok(sameStrides([1, 3], [7, 1], [3, 1]));
  assert.ok(!sameStrides([2, 3], [7, 1], [3, 1]));
});

/** Another shape with as many elements. */
function regrouped(dice: Dice, shape: readonly number[]): number[] {
  let rest = size(shape);
  const result: number[] = [];
  while (rest > 1 || dice.coin()) {
    const divisors = Array.from({ length: rest }, (_, i) => i + 1).filter((n) => rest % n === 0);
    const n = divisors[dice.int(0, divisors.length - 1)]!;
    result.push(n);
    rest /= n;
  }
  return result;
}

/** True where some strides over `shape` give these addresses. */
function hasStrides(expected: readonly number[], shape: readonly number[]): boolean {
  const dense = contiguousStrides(shape);
  const strides = shape.map((n, axis) => n === 1 ? 0 : expected[dense[axis]!]! - expected[0]!);
  return addresses(shape, strides, expected[0]).every((address, i) => address === expected[i]);
}
