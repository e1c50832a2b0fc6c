import assert from "node:assert/strict";
import { size } from "../../src/core/shape.ts";
import { openDevice } from "../../src/gpu/open/open.ts";
import { streamOf } from "../../src/graph/run/stream.ts";
import { cat, full, ones, stack, type Tensor, tensor, weightedSum, zeros } from "../../src/tensor/mod.ts";
import { Dice } from "../support/dice.ts";
import { testOnBothEngines } from "../support/engines.ts";
import { Nd } from "../support/nd.ts";
import { assertTensor } from "../support/tensors.ts";

testOnBothEngines("random chains of views read the elements that numpy's would", async () => {
  const dice = new Dice(40);
  for (let round = 0; round < 15; round++) {
    let want = Nd.random(dice, dice.shape(5, 4));
    let got: Tensor = want.upload();
    const steps: string[] = [String(got)];
    for (let step = 0; step < 5; step++) {
      const { shape } = want;
      const axis = dice.int(0, Math.max(0, shape.length - 1));
      switch (dice.int(0, 5)) {
        case 0: {
          const order = dice.shuffled([...shape.keys()]);
          [want, got] = [want.permute(order), got.permute(order)];
          steps.push(`permute ${order}`);
          break;
        }
        case 1: {
          if (shape.length === 0) break;
          const start = dice.int(0, shape[axis]! - 1);
          const end = dice.int(start + 1, shape[axis]!);
          [want, got] = [want.slice(axis, start, end), got.slice(axis - shape.length, start, end)];
          steps.push(`slice ${axis} ${start} ${end}`);
          break;
        }
        case 2: {
          const flat = shape.length > 1 ? [shape[0]! * shape[1]!, ...shape.slice(2)] : [...shape, 1];
          [want, got] = [want.reshape(flat), got.reshape(flat.with(0, -1))];
          steps.push(`reshape ${flat}`);
          break;
        }
        case 3: {
          if (shape.length === 6) break;
          const to = shape.toSpliced(axis, 0, 1);
          [want, got] = [want.reshape(to), got.unsqueeze(axis)];
          steps.push(`unsqueeze ${axis}`);
          break;
        }
        case 4: {
          [want, got] = [want.reshape(shape.filter((n) => n !== 1)), got.squeeze()];
          steps.push("squeeze");
          break;
        }
        default: {
          const to = shape.map((n) => n === 1 ? 3 : n);
          [want, got] = [want.expand(to), got.expand(shape.map((n) => n === 1 ? 3 : -1))];
          steps.push(`expand ${to}`);
        }
      }
    }
    await assertTensor(got, want, 0, steps.join(", "));
    await assertTensor(got.add(got.mul(2)), want.map((v) => v + 2 * v), 1e-6, steps.join(", "));
  }
});

Deno.test("views cost no dispatch", async () => {
  using device = await openDevice();
  const x = tensor(new Float32Array(24), [2, 3, 4]);
  x.permute([2, 0, 1]).slice(0, 1, 3).unsqueeze(1).expand([2, 5, 2, 3]).squeeze().reshape([2, 5, 6]);
  await streamOf(device).flush();
  assert.equal(device.pipelines.statistics.count, 0);
});

Deno.test("slice() counts negative bounds from the end and stops at the edges", async () => {
  using _device = await openDevice();
  const x = tensor([0, 1, 2, 3, 4]);
  assert.deepEqual([...await x.slice(0, -2).data()], [3, 4]);
  assert.deepEqual([...await x.slice(0, 1, -1).data()], [1, 2, 3]);
  assert.deepEqual([...await x.slice(0, 3, 99).data()], [3, 4]);
  assert.deepEqual(x.slice(0, 4, 2).shape, [0]);
});

Deno.test("chunk() and split() cut as torch does", () => {
  return withDevice(() => {
    const x = zeros([7, 2]);
    assert.deepEqual(x.chunk(3).map((t) => t.shape[0]), [3, 3, 1]);
    assert.deepEqual(x.chunk(2, -1).map((t) => t.shape), [[7, 1], [7, 1]]);
    assert.deepEqual(x.split([2, 0, 5]).map((t) => t.shape[0]), [2, 0, 5]);
    assert.deepEqual(zeros([0, 4]).chunk(2).map((t) => t.shape), [[0, 4], [0, 4]]);
  });
});

testOnBothEngines("cat() joins many parts along any axis, empty ones too", async () => {
  const dice = new Dice(41);
  for (const [parts, axis] of [[2, 0], [3, 1], [17, 1], [8, 2]]) {
    const shapes = Array.from({ length: parts! }, () => [2, 3, 4].with(axis!, dice.int(0, 3)));
    const wants = shapes.map((shape) => Nd.random(dice, shape));
    const total = shapes.reduce((sum, shape) => sum + shape[axis!]!, 0);
    const want = Nd.from([2, 3, 4].with(axis!, total), (place) => {
      let at = place[axis!]!;
      const index = shapes.findIndex((shape) => at < shape[axis!]! || (at -= shape[axis!]!, false));
      return wants[index]!.at(place.with(axis!, at));
    });
    await assertTensor(cat(wants.map((nd) => nd.upload()), axis), want, 0, `${parts} along ${axis}`);
  }
});

Deno.test("cat() joins views and channels-last pictures, whose parts may hold NaN", async () => {
  using _device = await openDevice();
  const dice = new Dice(42);
  const [a, b] = [Nd.random(dice, [2, 4, 3, 5]), Nd.random(dice, [5, 3, 4, 2])];
  const joined = cat([a.upload().channelsLast(), b.upload().permute([3, 2, 1, 0])], 1);
  const turned = b.permute([3, 2, 1, 0]);
  const want = Nd.from([2, 8, 3, 5], (p) => p[1]! < 4 ? a.at(p) : turned.at(p.with(1, p[1]! - 4)));
  await assertTensor(joined, want, 0, "pictures");
  assert.deepEqual([...await cat([tensor([NaN, Infinity]), tensor([1])]).data()], [NaN, Infinity, 1]);
});

Deno.test("stack() and weightedSum() follow their formulas", async () => {
  using _device = await openDevice();
  const [a, b] = [tensor([1, 2, 3]), tensor([4, 5, 6])];
  assert.deepEqual([...await stack([a, b], 1).data()], [1, 4, 2, 5, 3, 6]);
  assert.deepEqual([...await stack([a, b], -1).data()], [1, 4, 2, 5, 3, 6]);
  assert.deepEqual([...await weightedSum([2, a], [-1, b], [0.5, tensor([2])]).data()], [-1, 0, 1]);
});

Deno.test("weightedSum() takes more terms than an adapter binds, in their order", async () => {
  using device = await openDevice();
  const count = 3 * device.limits.maxStorageBuffersPerShaderStage;
  const terms = Array.from({ length: count }, (_, i): [number, Tensor] => [i % 3 - 1, tensor([i, 0.1 * i])]);
  const f = Math.fround;
  const want = [0, 1].map((k) => terms.reduce((sum, [w], i) => f(sum + f(w * f(k ? 0.1 * i : i))), 0));
  assert.deepEqual([...await weightedSum(...terms).data()], want);
  if (device.traits.f16) {
    assert.equal(weightedSum(...terms.map(([w, t]) => [w, t.half()] as const)).dtype, "f16");
  }
});

Deno.test("tensors without elements go through every operation", async () => {
  using _device = await openDevice();
  const empty = zeros([2, 0, 3]);
  const results: [Tensor, number[]][] = [
    [empty.add(1), [2, 0, 3]],
    [empty.mul(zeros([2, 1, 1])), [2, 0, 3]],
    [empty.permute([1, 0, 2]).reshape([0, 6]), [0, 6]],
    [cat([empty, empty], 1), [2, 0, 3]],
    [cat([empty, zeros([2, 1, 3])], 1), [2, 1, 3]],
    [empty.slice(2, 1, 2), [2, 0, 1]],
    [empty.cast("i32"), [2, 0, 3]],
    [zeros([1, 3]).expand([0, 3]), [0, 3]],
    [tensor([]), [0]],
  ];
  for (const [result, shape] of results) {
    assert.deepEqual([...result.shape], shape);
    assert.equal((await result.data()).length, size(shape));
  }
});

Deno.test("full(), zeros() and ones() take the memory of one element", async () => {
  using device = await openDevice();
  const before = device.buffers.usage().bytes;
  assert.equal((await full([2, 3], 7).data()).join(), "7,7,7,7,7,7");
  const big = ones([1000, 1000]);
  assert.ok(device.buffers.usage().bytes - before < 200_000);
  assert.equal(big.size, 1e6);
  assert.equal(await full([], 3).item(), 3);
  assert.deepEqual([...await zeros([2], { dtype: "i32" }).data()], [0, 0]);
});

Deno.test("what does not fit is refused in one sentence that says what was given", () => {
  return withDevice(() => {
    const x = tensor([1, 2, 3, 4, 5, 6], [2, 3]);
    const refusals: [() => unknown, string][] = [
      [() => tensor([1, 2], [3]), "Cannot make a tensor [3]: expected 3 values, got 2"],
      [
        () => x.add(tensor([1, 2])),
        "Cannot broadcast [2, 3] with [2]: expected equal sizes or 1, got 3 and 2",
      ],
      [() => x.reshape([4, -1]), "Cannot reshape tensor [2, 3] f32 to [4, -1]: expected 6 elements"],
      [() => x.reshape([-1, -1]), "Cannot reshape tensor [2, 3] f32 to [-1, -1]: expected 6 elements"],
      [() => x.permute([0, 0]), "Cannot permute tensor [2, 3] f32: expected each of 2 axes once, got [0, 0]"],
      [() => x.expand([2, 4]), "Cannot expand tensor [2, 3] f32 to [2, 4]: only axes of size 1 repeat"],
      [
        () => x.split([1, 2]),
        "Cannot split tensor [2, 3] f32 along axis 0: expected sizes that sum to 2, got 3",
      ],
      [() => x.slice(2, 0, 1), "Cannot use axis 2: expected -2 to 1 for 2 axes"],
      [() => cat([]), "Cannot join tensors: expected at least one, got none"],
      [
        () => cat([x, zeros([2, 2])]),
        "Cannot join tensor [2, 3] f32 and tensor [2, 2] f32 along axis 0: expected the same sizes along the others",
      ],
      [
        () => stack([x, zeros([2, 2])]),
        "Cannot stack tensor [2, 3] f32 and tensor [2, 2] f32: expected equal shapes",
      ],
      [() => weightedSum(), "Cannot add up: expected at least one term, got none"],
      [
        () => zeros([1, 1, 1, 1, 1, 1, 1]),
        "Cannot make a tensor [1, 1, 1, 1, 1, 1, 1]: expected at most 6 axes, got 7",
      ],
    ];
    for (const [run, message] of refusals) assert.throws(run, { name: "RangeError", message });
  });
});

Deno.test("item() reads the one element of any shape, and refuses more", async () => {
  using _device = await openDevice();
  assert.equal(await tensor([5], [1, 1]).item(), 5);
  await assert.rejects(
    tensor([1, 2]).item(),
    /^RangeError: Cannot read one item of tensor \[2\] f32: expected one element, got 2$/,
  );
});

Deno.test("a tensor without an open device says how to open one", () => {
  assert.throws(
    () => tensor([1]),
    /^Error: Cannot make a tensor: no device is open; begin with `using device = await openDevice\(\)`$/,
  );
});

async function withDevice(run: () => void): Promise<void> {
  using _device = await openDevice();
  run();
}
