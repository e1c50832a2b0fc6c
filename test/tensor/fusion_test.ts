import assert from "node:assert/strict";
import { matmul } from "../../src/ops/mod.ts";
import { cat, kernel, type Tensor, tensor, where } from "../../src/tensor/mod.ts";
import { assertClose } from "../support/close.ts";
import { Dice } from "../support/dice.ts";
import { testOnBothEngines } from "../support/engines.ts";
import { traced } from "../support/traced.ts";

/** Operations that any tensors take, of which one gives what the next takes. */
const OPERATIONS: ((a: Tensor, b: Tensor) => Tensor)[] = [
  (a, b) => a.add(b),
  (a, b) => a.to("f32").sub(b),
  (a, b) => a.mul(b).clamp(-9, 9),
  (a, b) => a.maximum(b),
  (a, b) => where(a.gt(b), a, b),
  (a, b) => a.le(b),
  (a, b) => a.ne(b).logicalOr(a.gt(1)),
  (a) => a.to("i32"),
  (a) => a.to("i32").remainder(3),
  (a) => a.to("f32").mul(0.5).round(),
  (a) => a.to("bool"),
  (a, b) => a.to("i32").bitwiseXor(b.to("i32")),
  (a) => a.flip([1]),
  (a) => a.roll(2, 1),
  (a) => a.pad([1, 0]).slice(1, 0, 4),
  (a, b) => cat([a.slice(1, 0, 2), b.slice(1, 1, 3)], 1),
  (a) => a.T.reshape([3, 4]),
  (a) => a.to("i32").sum(1, { keepdim: true }).expand([3, 4]),
];

/** A random program over [3, 4] tensors, whose steps `settle` may cut apart. */
async function run(dice: Dice, settle: (x: Tensor) => Promise<Tensor>): Promise<Tensor> {
  const values = (n: number) => Array.from({ length: n }, () => dice.int(-6, 6));
  const made = [
    tensor(values(12), [3, 4]),
    tensor(values(12), [3, 4], { dtype: "i32" }),
    tensor(values(12), [3, 4], { dtype: "bool" }),
    tensor(values(4).map((v) => v / 2), [4]).expand([3, 4]),
  ];
  for (let step = 0; step < 12; step++) {
    const pick = () => made[dice.int(Math.max(0, made.length - 5), made.length - 1)]!;
    const operation = OPERATIONS[dice.int(0, OPERATIONS.length - 1)]!;
    made.push(await settle(operation(pick(), pick())));
  }
  return made.at(-1)!;
}

testOnBothEngines("what is fused gives what the same steps give one by one", async () => {
  for (let seed = 0; seed < 10; seed++) {
    const whole = await run(new Dice(seed), (x) => Promise.resolve(x));
    const apart = await run(
      new Dice(seed),
      async (x) => tensor([...await x.data()], x.shape, { dtype: x.dtype as "f32" }),
    );
    assert.deepEqual([whole.dtype, ...whole.shape], [apart.dtype, ...apart.shape], `seed ${seed}`);
    assertClose(await whole.data(), await apart.data(), 1e-5, `seed ${seed}`);
  }
});

testOnBothEngines("kernels store what follows them as bools and integers, traced too", async (device) => {
  const x = tensor([[1, -2], [3, 4]]);
  const steps = (x: Tensor) => {
    const y = matmul(x, x);
    const ids = y.gt(0).to("i32").indexSelect(1, tensor([1, 0], { dtype: "i32" }));
    return [y.gt(0), where(y.lt(0), -y.shape[0]!, y).to("i32"), ids.add(1), ids.argmax(1).eq(0)];
  };
  const want = [[0, 0, 1, 1], [-2, -2, 15, 10], [1, 1, 2, 2], [1, 1]]; // x·x = [[-5, -10], [15, 10]]
  const check = async (results: Tensor[]) => {
    for (const [i, result] of results.entries()) {
      assert.deepEqual([...await result.data()], want[i], `result ${i}`);
    }
  };
  await check(steps(x));
  const { run } = traced(device, [x], steps);
  await check(run(x));
  await check(run(x));
});

testOnBothEngines("kernels may have functions that are called as those of fused code", async () => {
  const x = tensor([-1, 0, 2]);
  const wgsl = `
    fn sigmoid(v: f32) -> f32 { return v + 1.0; }
    fn is_nan(v: f32) -> f32 { return sigmoid(v); }
    fn power(v: f32) -> f32 { return is_nan(v); }
    @group(0) @binding(0) var<storage, read> x: array<f32>;
    @compute @workgroup_size(3)
    fn main(@builtin(local_invocation_index) i: u32) { store(0u, 0u, i, power(x[i])); }`;
  const y = kernel({ wgsl, inputs: [x], shape: [3], workgroups: 1 });
  assertClose(
    await y.silu().pow(1.5).data(),
    [0, 1, 3].map((v) => (v / (1 + Math.exp(-v))) ** 1.5),
    1e-5,
    "",
  );
});
