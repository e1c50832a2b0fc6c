import assert from "node:assert/strict";
import { openDevice } from "../../src/gpu/open/open.ts";
import "../../src/ops/mod.ts";
import { arange, cat, linspace, tensor, zeros } from "../../src/tensor/mod.ts";
import "../support/device.ts";

/** As scripts without a type checker call methods. */
type Loose = Record<
  "permute" | "view" | "expand" | "repeat" | "tile" | "pad" | "sum",
  (...args: unknown[]) => unknown
>;

Deno.test("tensor() takes nested lists, numbers, booleans and options in the place of a shape", async () => {
  const nested = tensor([[1, 2], [3, 4]], { dtype: "i32" });
  assert.deepEqual([nested.dtype, ...nested.shape, ...await nested.data()], ["i32", 2, 2, 1, 2, 3, 4]);
  assert.deepEqual([tensor(true).dtype, await tensor(true).item()], ["bool", 1]);
  assert.deepEqual([...await tensor(new Float64Array([1, 2.5])).data()], [1, 2.5]);
  assert.deepEqual([...await tensor(Uint8Array.of(1, 255), [2, 1]).div(255).data()], [
    Math.fround(1 / 255),
    1,
  ]);
});

Deno.test("f16 is refused in one line where shaders lack it", async () => {
  using device = await openDevice();
  Object.assign(device.traits, { f16: false });
  const refusal = /^TypeError: Cannot compute with f16 on .*: it lacks shader-f16; use f32$/;
  assert.throws(() => tensor([1]).half(), refusal);
  assert.throws(() => tensor(Float16Array.of(1)).add(1), refusal);
});

Deno.test("what operations cannot take is refused where it is given", () => {
  const x = tensor([[1, 2, 3], [4, 5, 6]]);
  const i = arange(6).reshape([2, 3]);
  const cases: [() => unknown, RegExp][] = [
    [
      () => x.add(undefined as never),
      /^TypeError: .*expected a tensor, a number or a boolean, got undefined$/,
    ],
    [() => x.mul([1, 2] as never), /^TypeError: .*got a list; make it a tensor with tensor\(\)$/],
    [() => x.gt("1" as never), /^TypeError: .*got 1$/],
    [
      () => x.clamp(),
      /^TypeError: Cannot clamp tensor \[2, 3\] f32: expected a smallest or a largest value, got neither$/,
    ],
    [() => x.to("float32" as never), /^TypeError: .*expected one of f32, f16, i32, u32, bool$/],
    [() => x.to("int4" as never), /^TypeError: .*expected one of f32/],
    [() => x.bitwiseAnd(1), /^TypeError: Cannot compute bit_and of .*expected i32 or u32 or bool, got f32/],
    [() => i.pow(-1), /^RangeError: Cannot raise .*integers have whole powers from 0; cast it to f32$/],
    [
      () => x.slice(1, 0, 3, -1),
      /^RangeError: Cannot slice .*expected a whole step from 1; flip\(\) turns round$/,
    ],
    [() => x.slice(1, 0.5), /^RangeError: Cannot slice .*expected whole bounds$/],
    [() => x.select(1, 3), /^RangeError: Cannot select 3 of .*expected -3 to 2$/],
    [() => x.narrow(1, 2, 2), /^RangeError: Cannot narrow /],
    [() => x.split(0), /^RangeError: Cannot split /],
    [() => x.movedim([0, 0], [0, 1]), /^RangeError: Cannot move axes /],
    [() => x.unflatten(1, [2, -1]), /^RangeError: Cannot unflatten axis 1 of /],
    [() => x.diagonal(0, 1, 1), /^RangeError: Cannot take a diagonal of /],
    [() => x.flip([0, -2]), /^RangeError: Cannot flip /],
    [() => x.roll([1, 2], [0]), /^RangeError: Cannot roll /],
    [() => x.pad([1]), /^RangeError: Cannot pad .*expected two whole sizes for each axis, the last first$/],
    [
      () => x.pad([3, 0], { mode: "reflect" }),
      /^RangeError: Cannot pad .*in mode "reflect": expected at most 2$/,
    ],
    [() => x.pad([0, 4], { mode: "circular" }), /^RangeError: Cannot pad .*expected at most 3$/],
    [
      () => x.pad([1, 1], { mode: "mirror" as never }),
      /^TypeError: Cannot pad in mode "mirror": expected constant/,
    ],
    [() => x.pad([-2, -2]), /^RangeError: Cannot pad .*expected to cut off at most the 3 of axis 1$/],
    [() => x.repeat([2]), /^RangeError: Cannot repeat /],
    [
      () => x.gather(1, x),
      /^TypeError: Cannot find elements by .*expected i32 or u32, got f32; cast it with to\("i32"\)$/,
    ],
    [() => x.gather(1, zeros([3, 1], { dtype: "i32" })), /^RangeError: Cannot gather from /],
    [() => x.indexSelect(0, i), /^RangeError: Cannot select from /],
    [() => x.sliceScatter(x, 1, 1), /^RangeError: Cannot put .*expected the slice's shape \[2, 2\]$/],
    [() => x.amax([0, 5]), /^RangeError: Cannot use axis 5/],
    [() => x.norm("nuc" as never), /^TypeError: Cannot take the norm of /],
    [() => x.softmax(5), /^RangeError: Cannot use axis 5/],
    [
      () => i.softmax(1),
      /^TypeError: Cannot run softmax on tensor \[2, 3\] i32: expected f32 or f16; cast it with to\("f32"\)$/,
    ],
    [() => tensor(1).flip(0), /^RangeError: Cannot use axis 0: the tensor has none$/],
    [() => tensor(1).sum(1), /^RangeError: Cannot use axis 1: expected -1 to 0 for 1 axes$/],
    [
      () => (x as unknown as Loose).permute(1, 0),
      /^TypeError: Cannot permute by 1: expected a list of numbers, as in permute\(\[2, 3\]\)$/,
    ],
    [() => (x as unknown as Loose).view(3, 2), /^TypeError: Cannot reshape by 3: /],
    [() => (x as unknown as Loose).expand(2, 3), /^TypeError: Cannot expand by 2: /],
    [() => (x as unknown as Loose).repeat(2, 1), /^TypeError: Cannot repeat by 2: /],
    [() => (x as unknown as Loose).tile(2), /^TypeError: Cannot tile by 2: /],
    [() => (x as unknown as Loose).pad(1), /^TypeError: Cannot pad by 1: /],
    [() => (x as unknown as Loose).sum({ dim: 1 }), /^RangeError: Cannot use axis \[object Object\]: /],
    [
      () => zeros(3 as never),
      /^TypeError: Cannot make a tensor 3: expected a list of sizes, as in \[2, 3\]$/,
    ],
    [() => cat(x as never), /^TypeError: Cannot join tensors: expected a list, as in cat\(\[a, b\]\)$/],
    [() => arange(0, 5, -1), /^RangeError: Cannot count from 0 to 5 by -1: /],
    [() => arange(0, Infinity), /^RangeError: Cannot count /],
    [() => linspace(0, 1, 2.5), /^RangeError: Cannot divide 0 to 1: /],
  ];
  for (const [run, message] of cases) assert.throws(run, message);
});
