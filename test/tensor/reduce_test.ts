import assert from "node:assert/strict";
import { type Tensor, tensor, zeros } from "../../src/tensor/mod.ts";
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
