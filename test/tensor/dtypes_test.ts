import assert from "node:assert/strict";
import { gather } from "../../src/ops/mod.ts";
import { cat, type Tensor, tensor, where, zeros } from "../../src/tensor/mod.ts";
import { testOnBothEngines } from "../support/engines.ts";

/** Fails unless each tensor has its dtype and its values. */
async function assertCases(cases: readonly [Tensor, dtype: string, values: number[]][]): Promise<void> {
  for (const [i, [got, dtype, values]] of cases.entries()) {
    assert.deepEqual([got.dtype, ...await got.data()], [dtype, ...values], `case ${i}: ${got}`);
  }
}

const BIG = 2 ** 24 + 1; // no f32

testOnBothEngines("integers move without loss", async () => {
  const ids = tensor(Int32Array.of(BIG, -BIG, 3, 4, 5, 6), [2, 3]);
  const words = tensor(Uint32Array.of(2 ** 32 - 1));
  await assertCases([
    [ids.permute([1, 0]).contiguous(), "i32", [BIG, 4, -BIG, 5, 3, 6]],
    [words.expand([2]), "u32", [2 ** 32 - 1, 2 ** 32 - 1]],
    [ids.slice(1, 2).cast("f32").mul(0.5), "f32", [1.5, 3]],
    [tensor([2.9, -2.9]).to("i32"), "i32", [2, -2]],
    [cat([ids, ids.slice(1, 0, 1)], 1), "i32", [BIG, -BIG, 3, BIG, 4, 5, 6, 4]],
    [cat([ids.slice(0, 0, 1).reshape([3]), tensor([0.5])]), "f32", [BIG - 1, 1 - BIG, 3, 0.5]],
    [ids.indexSelect(1, tensor(Int32Array.of(-1, 0))), "i32", [3, BIG, 6, 4]],
    [gather(ids, [1, 0, 0]), "i32", [4, 5, 6, BIG, -BIG, 3, BIG, -BIG, 3]],
    [ids.gather(1, tensor(Int32Array.of(1, 1, 0, 2), [2, 2])), "i32", [-BIG, -BIG, 4, 6]],
    [ids.gather(0, tensor(Int32Array.of(1, 0), [1, 2])), "i32", [4, -BIG]],
  ]);
});

testOnBothEngines("arithmetic meets in torch's types", async () => {
  const i = tensor(Int32Array.of(BIG, -7, 3));
  const b = tensor(Uint32Array.of(0, 2, 1)).to("bool");
  const f = tensor([0.5, -1, 2]);
  await assertCases([
    [i.add(1), "i32", [BIG + 1, -6, 4]],
    [i.add(0.5), "f32", [BIG - 1, -6.5, 3.5]],
    [i.mul(i.sub(2)).slice(0, 1), "i32", [63, 3]],
    [i.neg().abs(), "i32", [BIG, 7, 3]],
    [i.minimum(3), "i32", [3, -7, 3]],
    [i.maximum(b), "i32", [BIG, 1, 3]],
    [i.clamp(-1, 5), "i32", [5, -1, 3]],
    [i.slice(0, 1).div(2), "f32", [-3.5, 1.5]],
    [i.add(f), "f32", [BIG - 0.5 - 0.5, -8, 5]],
    [b, "bool", [0, 1, 1]],
    [b.add(b), "bool", [0, 1, 1]],
    [b.mul(tensor(Uint32Array.of(1, 1, 0)).to("bool")), "bool", [0, 1, 0]],
    [b.add(1), "i32", [1, 2, 2]],
    [b.mul(f), "f32", [0, -1, 2]],
    [b.mul(2.5), "f32", [0, 2.5, 2.5]],
    [b.to("f32").add(b.to("i32")), "f32", [0, 2, 2]],
    [tensor(Uint32Array.of(1, 2)).sub(2), "u32", [2 ** 32 - 1, 0]],
    [b.sum(), "i32", [2]],
    [i.slice(0, 0, 1).sum(), "i32", [BIG]],
    [i.prod().sub(0), "i32", [(BIG * -21) | 0]],
    [b.mean(), "f32", [Math.fround(2 / 3)]],
    [i.max(), "i32", [BIG]],
    [zeros([0, 2]).prod(0), "f32", [1, 1]],
    [zeros([0]).mean(), "f32", [NaN]],
  ]);
  assert.throws(
    () => b.sub(b),
    /^TypeError: Cannot compute sub of tensor \[3\] bool and tensor \[3\] bool: expected f32 or i32 or u32, got bool; cast it with to\(\)$/,
  );
});

testOnBothEngines("comparisons and logic give bools, NaN equals nothing", async () => {
  const x = tensor([1, 2, NaN, Infinity, -0]);
  const y = tensor([2, 2, NaN, Infinity, 0]);
  const i = tensor(Int32Array.of(BIG, BIG - 1, -3));
  await assertCases([
    [x.eq(y), "bool", [0, 1, 0, 1, 1]],
    [x.ne(y), "bool", [1, 0, 1, 0, 0]],
    [x.lt(y), "bool", [1, 0, 0, 0, 0]],
    [x.le(y), "bool", [1, 1, 0, 1, 1]],
    [x.gt(y), "bool", [0, 0, 0, 0, 0]],
    [x.ge(y), "bool", [0, 1, 0, 1, 1]],
    [x.eq(x), "bool", [1, 1, 0, 1, 1]],
    [x.le(x), "bool", [1, 1, 0, 1, 1]],
    [x.ne(x), "bool", [0, 0, 1, 0, 0]],
    [x.gt(1), "bool", [0, 1, 0, 1, 0]],
    [x.to("bool"), "bool", [1, 1, 1, 1, 0]],
    [i.eq(BIG), "bool", [1, 0, 0]],
    [i.lt(0.5), "bool", [0, 0, 1]],
    [x.gt(0).lt(x.lt(2)), "bool", [0, 0, 0, 0, 1]],
    [x.logicalAnd(y.gt(1)), "bool", [1, 1, 0, 1, 0]],
    [x.logicalOr(false), "bool", [1, 1, 1, 1, 0]],
    [x.logicalXor(true), "bool", [0, 0, 0, 0, 1]],
    [x.logicalNot(), "bool", [0, 0, 0, 0, 1]],
    [where(x.gt(1), x, -1), "f32", [-1, 2, -1, Infinity, -1]],
    [where(x.gt(1), 1, 0), "i32", [0, 1, 0, 1, 0]],
    [where(i.gt(0), i, tensor([1])), "f32", [BIG - 1, BIG - 1, 1]],
    [where(tensor([1, 0]).unsqueeze(1), i, 0), "i32", [BIG, BIG - 1, -3, 0, 0, 0]],
    [cat([x.gt(1), x.lt(2)]), "bool", [0, 1, 0, 1, 0, 1, 0, 0, 0, 1]],
  ]);
});
