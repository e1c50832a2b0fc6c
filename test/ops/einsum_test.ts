import assert from "node:assert/strict";
import { einsum, matmul } from "../../src/ops/mod.ts";
import { tensor, zeros } from "../../src/tensor/mod.ts";
import "../support/device.ts";

Deno.test("einsum() reads its equation as torch, and says what is wrong with it", () => {
  const [a, b] = [zeros([2, 3]), zeros([3, 4])];
  const wrong: [string, RegExp][] = [
    ["ij,jk->ii", /expected each label of the result once, got i$/],
    ["ij,jk->iz", /expected labels of the result among those of the operands, got z$/],
    ["ij", /expected 1 operands, got 2$/],
    ["ijk,jk", /expected "ijk" to name each axis of operand 0, got \[2, 3\]$/],
    ["ij,ik", /expected 2 elements along i, got 3$/],
    ["i.j,jk", /expected letters, one \.\.\. a term and one ->, got i\.j$/],
    ["ii,jk", /expected 2 elements along i, got 3$/],
  ];
  for (const [equation, line] of wrong) {
    assert.throws(() => einsum(equation, a, b), (error: Error) => {
      assert.ok(
        error instanceof RangeError && error.message.startsWith(`Cannot compute einsum "${equation}": `),
      );
      assert.match(error.message, line);
      return true;
    });
  }
});

Deno.test("products of whole numbers are exact, and refused with fractions", async () => {
  const x = tensor([1, 2, 3, 4], [2, 2], { dtype: "i32" });
  const large = tensor([30001, -1], [2], { dtype: "i32" });
  assert.equal(await matmul(large, large).item(), 30001 * 30001 + 1);
  assert.throws(
    () => matmul(x, zeros([2, 2])),
    /^TypeError: Cannot multiply tensor \[2, 2\] i32 by .*: expected both in f32 or f16; cast one first$/,
  );
  assert.deepEqual([...await einsum("ij->j", x).data()], [4, 6]);
});
