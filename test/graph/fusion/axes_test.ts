import assert from "node:assert/strict";
import { contiguousStrides, size } from "../../../src/core/shape.ts";
import { collapse, fitStrides, reorder } from "../../../src/graph/fusion/axes.ts";
import { Dice } from "../../support/dice.ts";
import { addresses } from "../../support/nd.ts";

/** Strides of a dense array whose axes lie in memory in any order. */
function denseStrides(dice: Dice, shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (const axis of dice.shuffled([...shape.keys()])) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

/** Strides of a view: dense in the given order or another, or with axes that repeat. */
function viewStrides(dice: Dice, shape: readonly number[], dense: readonly number[]): number[] {
  const strides = dice.coin() ? dense : denseStrides(dice, shape);
  const repeating = dice.coin();
  return strides.map((stride) => repeating && dice.coin() ? 0 : stride);
}

/** For each place, the address in one view by the address in another. */
function joined(shape: readonly number[], from: readonly number[], to: readonly number[]): number[] {
  const targets = addresses(shape, to);
  const result: number[] = [];
  addresses(shape, from).forEach((address, i) => result[address] = targets[i]!);
  return result;
}

Deno.test("collapse() keeps every view of random shapes and merges what all walk evenly", () => {
  const dice = new Dice(3);
  for (let round = 0; round < 1000; round++) {
    const shape = dice.shape(5, 3);
    const dense = denseStrides(dice, shape);
    const views = [dense, viewStrides(dice, shape, dense), viewStrides(dice, shape, dense)];
    const apart = new Set([...shape.keys()].filter((axis) => shape[axis]! > 1 && dice.int(0, 3) === 0));
    const { sizes, strides, place } = collapse(shape, views, apart);
    assert.equal(size(sizes), size(shape));
    assert.deepEqual(addresses(sizes, strides[0]!), [...Array(size(shape)).keys()]);
    views.forEach((view, i) => {
      assert.deepEqual(
        joined(sizes, strides[0]!, strides[i]!),
        joined(shape, dense, view),
        `view ${i} of [${shape}]`,
      );
    });
    for (const axis of apart) assert.equal(sizes[place[axis]!], shape[axis]);
  }
});

Deno.test("collapse() makes one axis of a channels-last picture and its equals", () => {
  const strides = [60, 1, 15, 3];
  assert.deepEqual(collapse([2, 3, 4, 5], [strides, strides], new Set()).sizes, [120]);
  assert.deepEqual(collapse([2, 3, 4, 5], [strides, [0, 1, 0, 0]], new Set()).sizes, [40, 3]);
  assert.deepEqual(collapse([1, 1], [[1, 1]], new Set()), { sizes: [1], strides: [[1]], place: [-1, -1] });
});

Deno.test("fitStrides() addresses the same elements of random views over a kernel's axes", () => {
  const dice = new Dice(4);
  let fitted = 0;
  for (let round = 0; round < 2000; round++) {
    const shape = dice.shape(4, 3);
    const layout = denseStrides(dice, shape);
    const view = viewStrides(dice, shape, layout);
    // Axes of a kernel: neighbours in memory merged at random, in any order.
    const inMemory = [...shape.keys()].sort((a, b) => layout[b]! - layout[a]! || shape[a]! - shape[b]!);
    const merged: number[] = [];
    for (const axis of inMemory) {
      if (merged.length && dice.coin()) merged[merged.length - 1]! *= shape[axis]!;
      else merged.push(shape[axis]!);
    }
    const strides = contiguousStrides(merged);
    const order = dice.shuffled([...merged.keys()]);
    const [targetSizes, targetStrides] = [order.map((i) => merged[i]), order.map((i) => strides[i])] as [
      number[],
      number[],
    ];
    const result = fitStrides(shape, layout, [view, layout], targetSizes, targetStrides);
    const expected = joined(shape, layout, view);
    if (result) {
      fitted++;
      assert.deepEqual(joined(targetSizes, targetStrides, result[0]!), expected);
      assert.deepEqual(addresses(targetSizes, result[1]!), addresses(targetSizes, targetStrides));
    } else {
      const walked = targetStrides.map((stride, axis) => targetSizes[axis]! === 1 ? 0 : expected[stride!]!);
      assert.notDeepEqual(
        joined(targetSizes, targetStrides, walked),
        expected,
        `[${shape}] over [${targetSizes}] fits`,
      );
    }
  }
  assert.ok(fitted > 500, `only ${fitted} views fitted`);
});

Deno.test("fitStrides() refuses axes that split one of the shape's, and other sizes", () => {
  assert.equal(fitStrides([6], [1], [], [2, 3], [3, 1]), undefined);
  assert.equal(fitStrides([2, 3], [3, 1], [], [2, 2], [2, 1]), undefined);
  assert.deepEqual(fitStrides([1, 1], [1, 1], [[0, 0]], [1, 1, 1, 1], [1, 1, 1, 1]), [[0, 0, 0, 0]]);
});

Deno.test("reorder() reads random views in another shape of the same memory, wherever strides can", () => {
  const dice = new Dice(5);
  let reordered = 0;
  for (let round = 0; round < 2000; round++) {
    const shape = dice.shape(4, 4);
    const layout = denseStrides(dice, shape);
    const view = viewStrides(dice, shape, layout);
    const toShape = dice.shuffled(shape).flatMap((n) => n === 4 && dice.coin() ? [2, 2] : [n]);
    if (dice.coin()) toShape.push(1);
    const toLayout = denseStrides(dice, toShape);
    const result = reorder(shape, layout, view, toShape, toLayout);
    const expected = joined(shape, layout, view);
    const walked = toLayout.map((stride, axis) => toShape[axis] === 1 ? 0 : expected[stride]!);
    if (result) reordered++;
    assert.deepEqual(
      joined(toShape, toLayout, result ?? walked).join() === expected.join(),
      result !== undefined,
      `[${shape}] by [${layout}] viewed by [${view}] as [${toShape}] by [${toLayout}]`,
    );
  }
  assert.ok(reordered > 500, `only ${reordered} views were reordered`);
});

Deno.test("reorder() refuses a shape that does not fill its memory", () => {
  assert.equal(reorder([4], [1], [1], [2, 2], [4, 1]), undefined);
});
