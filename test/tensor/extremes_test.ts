import assert from "node:assert/strict";
import { cat, type Tensor, tensor, where } from "../../src/tensor/mod.ts";
import { assertRelativelyClose } from "../support/close.ts";
import { testOnBothEngines } from "../support/engines.ts";

/** Each value within `bound` of torch 2.13's, relative to itself. */
async function assertEach(got: Tensor, want: readonly number[], bound: number, what: string): Promise<void> {
  const values = await got.data();
  want.forEach((value, i) => assertRelativelyClose([values[i]!], [value], bound, `${what} at ${i}`));
}

testOnBothEngines("numbers of 32 bits beside u32 are u32", async () => {
  const x = tensor(Uint32Array.of(4294967200, 5, 4294967295));
  assert.deepEqual([...await x.eq(4294967295).data()], [0, 0, 1]);
  assert.deepEqual([...await x.gt(4294967200).data()], [0, 0, 1]);
  const sum = x.slice(0, 1, 2).add(3e9);
  assert.deepEqual([sum.dtype, ...await sum.data()], ["u32", 3000000005]);
  assert.deepEqual([...await x.bitwiseAnd(0xff000000).data()], [0xff000000, 0, 0xff000000]);
  const chosen = where(x.gt(9), x, 4e9);
  assert.deepEqual([chosen.dtype, ...await chosen.data()], ["u32", 4294967200, 4e9, 4294967295]);
  const low = tensor(Int32Array.of(-(2 ** 31), 1 - 2 ** 31)).eq(-(2 ** 31));
  assert.deepEqual([...await low.data()], [1, 0]);
  assert.equal(tensor(Int32Array.of(1)).add(3e9).dtype, "f32");
});

testOnBothEngines("statistics of f16 are computed in f32", async () => {
  const f16 = (values: number[]) => tensor(values, { dtype: "f16" });
  const each: [Tensor, number][] = [
    [f16([300, 400]).norm(), 500],
    [f16([300, 400]).norm(3), 449.794],
    [f16([1000, -1000]).std(), 1414.2136],
    [f16([3000, 3002, 3004, 3004, 3000]).var(), 4],
    [f16(Array.from({ length: 1000 }, () => 6)).logsumexp(), 12.907755],
  ];
  for (const [i, [got, want]] of each.entries()) {
    assert.equal(got.dtype, "f16");
    assertRelativelyClose([await got.item()], [want], 2 ** -11, `case ${i}`);
  }
});

testOnBothEngines("logSoftmax() of large numbers keeps its digits", async () => {
  const got = tensor([1e6, 1e6, 1e6, -Infinity], [2, 2]).logSoftmax(1);
  assert.deepEqual([...await got.data()], [-Math.fround(Math.LN2), -Math.fround(Math.LN2), 0, -Infinity]);
  assert.deepEqual([...await tensor([-Infinity, -Infinity]).logSoftmax(0).data()], [NaN, NaN]);
  assert.deepEqual([...await tensor([Infinity, 0]).logSoftmax(0).data()], [NaN, -Infinity]);
  assert.deepEqual((await tensor([], [2, 0]).logSoftmax(1).data()).length, 0);
});

testOnBothEngines("whole quotients do not overflow", async () => {
  const least = -(2 ** 31);
  const got = tensor(Int32Array.of(least, least, 7, -7, 7, -7)).floorDivide(
    tensor(Int32Array.of(3, -3, -2, 2, 2, -2)),
  );
  assert.deepEqual([...await got.data()], [-715827883, 715827882, -4, -4, 3, 3]);
});

testOnBothEngines("functions keep their digits near 0 and their range", async () => {
  await assertEach(
    tensor([1e-7, -3e-4, 0.2, 0.26, -9]).tanh(),
    [1e-7, -3e-4, 0.19737532, 0.25429553, -1],
    1e-6,
    "tanh",
  );
  const mish = [-20, -5, -1e-3, 0.5, 30];
  await assertEach(
    tensor(mish).mish(),
    [-4.1223073e-8, -0.033576237, -5.9968e-4, 0.37524524, 30],
    1e-5,
    "mish",
  );
  const x = tensor([89, -89, 1e-6, 0.3, 5]);
  await assertEach(x.sinh(), [2.2448064e38, -2.2448064e38, 1e-6, 0.3045203, 74.203209], 2e-5, "sinh");
  await assertEach(x.cosh(), [2.2448064e38, 2.2448064e38, 1, 1.0453385, 74.209949], 2e-5, "cosh");
  const ends = tensor([Infinity, -Infinity]);
  assert.deepEqual([...await ends.sinh().data(), ...await ends.cosh().data()], [
    Infinity,
    -Infinity,
    Infinity,
    Infinity,
  ]);
});

testOnBothEngines("lerp() rounds as uncond + scale · (cond − uncond), whatever the weight", async () => {
  const [uncond, cond, scale] = [0.1, 0.7, 7.5].map(Math.fround) as [number, number, number];
  const expected = Math.fround(uncond + Math.fround(scale * Math.fround(cond - uncond)));
  assert.deepEqual([...await tensor([uncond]).lerp(tensor([cond]), scale).data()], [expected]);
});

testOnBothEngines("reductions take each axis once, and axis 0 of a tensor without axes", async () => {
  const x = tensor([1, 2, 3, 4], [2, 2]);
  for (const name of ["sum", "var", "max", "all", "logsumexp"] as const) {
    assert.throws(() => x[name]([0, -2]), {
      name: "RangeError",
      message: "Cannot reduce tensor [2, 2] f32 over axes 0, -2: expected each once",
    });
  }
  const one = tensor([3], []);
  for (const axis of [0, -1, []]) {
    assert.deepEqual([await one.sum(axis).tolist(), await one.max(axis, { keepdim: true }).tolist()], [3, 3]);
  }
  assert.deepEqual(await one.var(0).tolist(), NaN);
  assert.throws(() => one.sum(1), /expected -1 to 0/);
});

testOnBothEngines("cat() of many tensors joins them in a tree", async () => {
  const parts = Array.from({ length: 400 }, (_, i) => tensor([i, i / 4]));
  const got = await cat(parts).data();
  assert.deepEqual([...got], parts.flatMap((_, i) => [i, i / 4]));
});
