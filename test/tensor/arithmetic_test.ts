import assert from "node:assert/strict";
import { openDevice } from "../../src/gpu/open/open.ts";
import { type Tensor, tensor } from "../../src/tensor/mod.ts";
import { assertClose } from "../support/close.ts";
import { Dice } from "../support/dice.ts";
import { testOnBothEngines } from "../support/engines.ts";
import { Nd } from "../support/nd.ts";
import { assertTensor } from "../support/tensors.ts";

const F32 = 1e-6;

/** A reference with the tensor that should equal it: contiguous, or a view of something larger. */
function randomPair(dice: Dice, shape: readonly number[]): { want: Nd; got: Tensor } {
  const kind = dice.int(0, 2);
  if (kind === 0) {
    const want = Nd.random(dice, shape);
    return { want, got: want.upload() };
  }
  if (kind === 1) { // permuted
    const order = dice.shuffled([...shape.keys()]);
    const stored = Nd.random(dice, order.map((axis) => shape[axis]!));
    const back = order.map((_, axis) => order.indexOf(axis));
    return { want: stored.permute(back), got: stored.upload().permute(back) };
  }
  const axis = dice.int(0, shape.length - 1); // a part
  const stored = Nd.random(dice, shape.with(axis, shape[axis]! + 3));
  const start = dice.int(0, 3);
  return {
    want: stored.slice(axis, start, start + shape[axis]!),
    got: stored.upload().slice(axis, start, start + shape[axis]!),
  };
}

/** The shape with some axes at 1, and perhaps without its first ones. */
function broadcastable(dice: Dice, shape: readonly number[]): number[] {
  const some = shape.map((n) => dice.int(0, 2) === 0 ? 1 : n);
  return some.slice(dice.int(0, 2) === 0 ? dice.int(0, shape.length - 1) : 0);
}

testOnBothEngines("binary operations broadcast random views up to rank 6 as numpy does", async () => {
  const dice = new Dice(20);
  const operations: [string & keyof Tensor, (a: number, b: number) => number][] = [
    ["add", (a, b) => a + b],
    ["sub", (a, b) => a - b],
    ["mul", (a, b) => a * b],
    ["minimum", Math.min],
    ["maximum", Math.max],
  ];
  for (let round = 0; round < 12; round++) {
    const shape = dice.shape(6, 3);
    const [a, b] = [randomPair(dice, broadcastable(dice, shape)), randomPair(dice, shape)];
    const [name, f] = operations[round % operations.length]!;
    const run = (x: Tensor, y: Tensor) => (x[name] as (y: Tensor) => Tensor).call(x, y);
    await assertTensor(run(a.got, b.got), a.want.zip(b.want, f), F32, `${name} ${a.got} ${b.got}`);
    await assertTensor(run(b.got, a.got), b.want.zip(a.want, f), F32, `${name} ${b.got} ${a.got}`);
  }
});

Deno.test("operations with numbers and with the tensor itself", async () => {
  using _device = await openDevice();
  const x = tensor([1, -2, 4, 0.5]);
  const cases: [Tensor, number[]][] = [
    [x.add(1), [2, -1, 5, 1.5]],
    [x.sub(1), [0, -3, 3, -0.5]],
    [x.mul(-2), [-2, 4, -8, -1]],
    [x.div(4), [0.25, -0.5, 1, 0.125]],
    [x.pow(2), [1, 4, 16, 0.25]],
    [x.pow(3), [1, -8, 64, 0.125]],
    [x.pow(0), [1, 1, 1, 1]],
    [tensor([0, 0, 4]).pow(tensor([0, 2, 0.5])), [1, 0, 2]],
    [x.minimum(0.75), [0.75, -2, 0.75, 0.5]],
    [x.maximum(0), [1, 0, 4, 0.5]],
    [x.sub(x), [0, 0, 0, 0]],
    [x.mul(x), [1, 4, 16, 0.25]],
    [x.clamp(-1, 1), [1, -1, 1, 0.5]],
    [x.lerp(tensor([0, 0, 0, 0]), 0.25), [0.75, -1.5, 3, 0.375]],
    [x.lerp(x.add(1), tensor([0, 1, 2, 3])), [1, -1, 6, 3.5]],
  ];
  for (const [i, [got, want]] of cases.entries()) assertClose(await got.data(), want, 1e-5, `case ${i}`);
});

testOnBothEngines("functions of one tensor follow Math", async () => {
  const x = Float32Array.of(0.01, 0.3, 1, 2.5, 3.5, 7, 10.2);
  const signed = Float32Array.from([...x, ...x.map((v) => -v), 0, 0.5, -0.5]);
  const even = (v: number) => Math.abs(v % 1) === 0.5 ? 2 * Math.round(v / 2) : Math.round(v);
  const cases: [string & keyof Tensor, Float32Array<ArrayBuffer>, (v: number) => number][] = [
    ["neg", signed, (v) => -v],
    ["abs", signed, Math.abs],
    ["sqrt", x, Math.sqrt],
    ["rsqrt", x, (v) => 1 / Math.sqrt(v)],
    ["exp", signed, Math.exp],
    ["log", x, Math.log],
    ["sin", signed, Math.sin],
    ["cos", signed, Math.cos],
    ["tanh", signed, Math.tanh],
    ["round", signed, even],
    ["floor", signed, Math.floor],
  ];
  for (const [name, values, f] of cases) {
    const y = (tensor(values)[name] as () => Tensor).call(tensor(values));
    assertClose(
      await y.data(),
      Float64Array.from(values, (v) => f(v) - f(v)).map((_, i) => f(values[i]!)),
      3e-6 * Math.max(1, ...values.map((v) => Math.abs(f(v)))),
      name,
    );
  }
});

testOnBothEngines("infinities and NaN pass through arithmetic, bounds and reductions", async () => {
  const x = tensor([Infinity, -Infinity, NaN, 1]);
  assert.deepEqual([...await x.add(1).data()], [Infinity, -Infinity, NaN, 2]);
  assert.deepEqual([...await x.mul(0).data()], [NaN, NaN, NaN, 0]);
  assert.deepEqual([...await x.clamp(-2, 2).data()], [2, -2, NaN, 1]);
  assert.deepEqual([...await x.minimum(0).data()], [0, -Infinity, NaN, 0]);
  assert.deepEqual([...await tensor([0, 0, 0, NaN]).maximum(x).data()], [Infinity, 0, NaN, NaN]);
  for (const kind of ["sum", "mean", "min", "max"] as const) {
    assert.ok(Number.isNaN(await x[kind]().item()), kind);
  }
  assert.equal(await x.slice(0, 0, 1).max().item(), Infinity);
  assert.equal(await x.slice(0, 1, 2).min().item(), -Infinity);
});

Deno.test("f16 rounds to nearest even, overflows to infinity, and mixes with f32 as f32", async () => {
  using device = await openDevice();
  if (!device.traits.f16) return;
  const x = tensor([2049, 2051, 1e5, 0.1]);
  const half = x.cast("f16");
  assert.equal(half.dtype, "f16");
  assert.deepEqual([...await half.data()], [2048, 2052, Infinity, Number(Float16Array.of(0.1)[0])]);
  assert.equal(half.add(half).dtype, "f16");
  assert.equal(half.add(tensor([1])).dtype, "f32");
  const odd = tensor(Float16Array.of(1, 2, 3));
  assert.deepEqual([odd.dtype, [...await odd.data()]], ["f16", [1, 2, 3]]);
});
