import assert from "node:assert/strict";
import { streamOf } from "../../src/graph/run/stream.ts";
import { full, ones, type Tensor, tensor, zeros } from "../../src/tensor/mod.ts";
import { assertClose } from "../support/close.ts";
import "../support/device.ts";
import { Dice } from "../support/dice.ts";
import { testOnBothEngines } from "../support/engines.ts";
import { Nd } from "../support/nd.ts";
import { assertTensor } from "../support/tensors.ts";

const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);

testOnBothEngines("sum, mean, min and max reduce any axes of random views", async () => {
  const dice = new Dice(30);
  const kinds: [string & keyof Tensor, (values: number[]) => number][] = [
    ["sum", sum],
    ["mean", (values) => sum(values) / values.length],
    ["min", (values) => Math.min(...values)],
    ["max", (values) => Math.max(...values)],
  ];
  for (let round = 0; round < 12; round++) {
    const shape = dice.shape(5, 4);
    const order = dice.shuffled([...shape.keys()]);
    const x = Nd.random(dice, shape);
    const [view, want] = [x.upload().permute(order), x.permute(order)];
    const axes = order.map((_, axis) => axis).filter(() => dice.coin());
    const [name, f] = kinds[round % kinds.length]!;
    const folded = want.fold(axes, f);
    const reduceBy = view[name] as (axes: number[], options?: object) => Tensor;
    await assertTensor(
      reduceBy.call(view, axes, { keepdim: true }),
      folded,
      1e-6,
      `${name} of ${view} over ${axes}`,
    );
    const rest = folded.shape.filter((_, axis) => !axes.includes(axis));
    await assertTensor(
      reduceBy.call(view, axes),
      folded.reshape(rest),
      1e-6,
      `${name} of ${view} over ${axes}`,
    );
  }
});

Deno.test("reductions take one axis, negative axes, or all of them", async () => {
  const x = tensor([1, 2, 3, 4, 5, 6], [2, 3]);
  assert.deepEqual([...await x.sum(-1).data()], [6, 15]);
  assert.deepEqual([...await x.mean(0).data()], [2.5, 3.5, 4.5]);
  assert.equal(await x.max().item(), 6);
  assert.deepEqual(x.min().shape, []);
  assert.deepEqual(x.sum([0, 1], { keepdim: true }).shape, [1, 1]);
  assert.throws(() => x.sum(2), RangeError);
});

Deno.test("a sum of 100,001 values keeps six digits", async () => {
  const values = new Dice(31).numbers(100_001, 1).map((v) => v + 1);
  assertClose([await tensor(values).mean().item()], [sum([...values]) / values.length], 1e-6, "mean");
});

testOnBothEngines("long rows are reduced in parts by several workgroups, then together", async (device) => {
  const [rows, columns] = [2, 50_001]; // parts of unequal length
  const numbers = [...new Dice(32).numbers(rows * columns, 1)];
  const x = tensor(Float32Array.from(numbers), [rows, columns]);
  await x.data();
  const each = (of: (values: readonly number[]) => number) =>
    Array.from({ length: rows }, (_, row) => of(numbers.slice(row * columns, (row + 1) * columns)));
  const total = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  assertClose(await x.sum(1).data(), each(total), 2e-3, "sum");
  assert.equal(streamOf(device).statistics.dispatches, 2);
  assertClose(await x.mean(1).data(), each((values) => total(values) / columns), 1e-6, "mean");
  const extreme = (of: "min" | "max") => each((values) => values.reduce((a, b) => Math[of](a, b)));
  assert.deepEqual([...await x.max(1).data()], extreme("max").map(Math.fround));
  assert.deepEqual([...await x.min(1).data()], extreme("min").map(Math.fround));
  const last = ones([columns]).mul(2).scatter(0, tensor([columns - 1], { dtype: "i32" }), NaN);
  assert.deepEqual([await last.max().item(), await last.sum().item()], [NaN, NaN]);
  assert.equal(await full([50_001], 1, { dtype: "i32" }).sum().item(), 50_001);
  assert.equal((await zeros([0, columns]).sum(1).data()).length, 0);
  if (!device.traits.f16) return;
  const half = full([columns], 16, { dtype: "f16" }); // a part's sum exceeds f16
  assert.equal(await half.mean().item(), 16);
});

Deno.test("an empty sum is 0, an empty mean NaN; an empty smallest or largest element is refused", async () => {
  assert.deepEqual([...await zeros([2, 0]).sum(1).data()], [0, 0]);
  assert.equal(await zeros([0]).sum().item(), 0);
  assert.equal((await zeros([0, 3]).sum(1).data()).length, 0);
  assert.deepEqual([...await zeros([2, 0]).mean(1).data()], [NaN, NaN]);
  for (const kind of ["min", "max"] as const) {
    assert.throws(
      () => zeros([2, 0])[kind](),
      /^RangeError: Cannot take the \w+ of tensor \[2, 0\] f32: expected at least one/,
    );
  }
});
