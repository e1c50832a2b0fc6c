import { graphText } from "../../../src/graph/dump/text.ts";
import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { Leaf } from "../../../src/graph/node.ts";
import { streamOf } from "../../../src/graph/run/stream.ts";
import { conv2d, groupNorm, matmul, silu } from "../../../src/ops/mod.ts";
import { scope, Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { assertClose } from "../../support/close.ts";
import { Dice } from "../../support/dice.ts";
import { testOnBothEngines } from "../../support/engines.ts";
import { traced } from "../../support/traced.ts";

const SIZE = 64;
const filled = (value: number) => tensor(new Float32Array(SIZE).fill(value));
const total = (x: Tensor) => x.sum(0, { keepdim: true });
const first = async (t: Tensor) => (await t.data())[0]!;

/**
 * Of a picture x and a text: the text's part is recorded last, so that its memory is what x's part no longer
 * needs. → [x · 64 text + (64 x + 1) · 64, 64 text]
 */
const twoParts = (x: Tensor, text: Tensor): Tensor[] => {
  const late = total(total(x).add(1).expand([SIZE]).mul(1));
  const own = total(text);
  return [x.mul(own).add(late), own];
};
const expected = (x: number, text: number) => [x * SIZE * text + (SIZE * x + 1) * SIZE, SIZE * text];

testOnBothEngines("a plan's results are right whichever inputs stay the same", async (device) => {
  const dice = new Dice(10);
  const { run } = traced(device, [filled(0), filled(0)], twoParts);
  const pool = [1, 2, 3].map((value) => ({ value, x: filled(value) }));
  for (let round = 0; round < 40; round++) {
    const [x, text] = [pool[dice.int(0, 2)], pool[dice.int(0, 2)]];
    const results = await Promise.all(run(x!.x, text!.x).map(first));
    assert.deepEqual(results, expected(x!.value, text!.value), `round ${round}`);
  }
});

testOnBothEngines(
  "a plan called twice with the same inputs is right when one of them changes",
  async (device) => {
    const { run } = traced(device, [filled(0), filled(0)], (x, text) => {
      const own = total(text);
      const rest = total(total(x).expand([SIZE]).mul(1));
      return [total(own.expand([SIZE]).mul(2)).add(rest).add(own)];
    });
    const [one, text] = [filled(1), filled(1)];
    const got: number[] = [];
    for (const x of [one, one, filled(2), filled(3), one]) got.push(await first(run(x, text)[0]!));
    assert.deepEqual(got, [1, 1, 2, 3, 1].map((x) => 2 * SIZE * SIZE + x * SIZE * SIZE + SIZE));
  },
);

testOnBothEngines("two calls of a plan in one submission do not meet in its memory", async (device) => {
  const { run } = traced(device, [filled(0), filled(0)], twoParts);
  const text = filled(1);
  const [a, b] = [run(filled(1), text), run(filled(2), text)];
  assert.deepEqual([await first(a[0]!), await first(b[0]!)], [expected(1, 1)[0], expected(2, 1)[0]]);
  const [c, d] = [run(filled(3), filled(2)), run(filled(4), filled(3))];
  assert.deepEqual([await first(d[0]!), await first(c[0]!)], [expected(4, 3)[0], expected(3, 2)[0]]);
});

Deno.test("a call of a plan takes the results of another in the same submission", async () => {
  using device = await openDevice();
  const { run } = traced(device, [filled(0), filled(0)], twoParts);
  const [x, text] = [1, 1];
  const [once] = run(filled(x), filled(text)) as [Tensor];
  const [twice] = run(once, filled(text)) as [Tensor];
  const [y] = expected(x, text) as [number];
  assert.equal(await first(twice), expected(y, text)[0]);
});

Deno.test("steps whose inputs stay the same are not run again, and are when they change", async () => {
  using device = await openDevice();
  const stream = streamOf(device);
  const { plan, run } = traced(device, [filled(0), filled(0)], twoParts);
  const counts: number[] = [];
  let text = filled(1);
  for (const value of [1, 2, 3, 4, 5]) {
    if (value === 5) text = filled(7);
    const results = run(filled(value), text);
    await stream.flush();
    counts.push(stream.statistics.dispatches);
    assert.deepEqual(await Promise.all(results.map(first)), expected(value, value === 5 ? 7 : 1));
  }
  assert.deepEqual(counts, [plan.size, plan.size, plan.size - 1, plan.size - 1, plan.size]);
});

Deno.test("what only a kernel's last pass reads is made in every run and kept in none", async () => {
  using device = await openDevice({ candidate: "winograd" });
  const stream = streamOf(device);
  const dice = new Dice(11);
  const weight = tensor(dice.numbers(4 * 4 * 9, 1), [4, 4, 3, 3]);
  const pictures = [1, 2, 3].map(() => tensor(dice.numbers(4 * 30, 1), [1, 4, 5, 6]));
  const conv = (x: Tensor) => conv2d(x, { weight }, { padding: 1 });
  const { plan, run } = traced(device, [pictures[0]!], (x) => [conv(x)]);
  const counts: number[] = [];
  for (const x of pictures) {
    const [y] = run(x);
    await stream.flush();
    counts.push(stream.statistics.dispatches);
    assert.deepEqual(await y!.data(), await conv(x).data());
  }
  assert.deepEqual(counts, [plan.size, plan.size - 1, plan.size - 1]); // the weights' order in memory is kept
  const steps = [...graphText(plan.graph()).matchAll(/= (\w+)\(.*?( kept)? @/g)].map(([, name, kept = ""]) =>
    name + kept
  );
  const product = device.traits.software // Winograd's form is offered there alone
    ? ["winograd_weights", "winograd_pixels", "gemm_broadcast", "winograd"]
    : steps.slice(2);
  assert.deepEqual(steps, ["pointwise kept", "pointwise", ...product]);
  for (const step of product) assert.doesNotMatch(step, /pointwise|kept/);
});

Deno.test("a plan's bind groups and pipelines are made once for all its runs", async () => {
  using device = await openDevice();
  const { run } = traced(device, [filled(0), filled(0)], twoParts);
  let made = 0;
  const create = device.gpu.createBindGroup.bind(device.gpu);
  device.gpu.createBindGroup = (descriptor) => (made++, create(descriptor));
  const text = filled(2);
  const figures: number[] = [];
  for (const value of [1, 2, 3, 4, 5, 6]) {
    run(filled(value), text);
    await streamOf(device).flush();
    figures.push(made);
  }
  assert.ok(figures[1]! > 0);
  assert.deepEqual(new Set(figures.slice(1)), new Set([figures[1]]));
});

Deno.test("a plan's bytes count what is made of weights alone, which nothing else may overwrite", async () => {
  using device = await openDevice({ tune: "off" });
  const N = 256;
  const [a, b, example] = [1, 2, 3].map((i) => zeros([N, N]).add(i)) as [Tensor, Tensor, Tensor];
  await streamOf(device).flush();
  const before = device.buffers.usage().bytes;
  const { plan } = traced(device, [example], (x) => {
    const joined = matmul(a, b);
    let y = matmul(x!, joined);
    for (let i = 0; i < 3; i++) y = matmul(y, x!);
    return [y];
  });
  plan.reserve();
  const value = 4 * N * N;
  const taken = device.buffers.usage().bytes - before; // without the result, with uniforms
  assert.ok(Math.abs(plan.bytes - value - taken) < value / 2, `${plan.bytes - value} bytes, got ${taken}`);
});

testOnBothEngines(
  "results of a plan give their places to later ones, also where one stands twice",
  async (device) => {
    const [N, count] = [64, 12];
    const square = (value: number) => zeros([N, N]).add(value);
    const { plan, run } = traced(device, [square(0), square(0)], (x, m) => {
      const results: Tensor[] = [];
      for (let i = 0, y = x!; i < count; i++) results.push(y = matmul(y, m!));
      return [...results, results.at(-1)!];
    });
    const doubling = square(2 / N);
    for (const x of [square(1), square(3), square(3)]) {
      const results = await Promise.all(run(x, doubling).map(first));
      const own = await first(x);
      assert.deepEqual(
        results,
        Array.from({ length: count + 1 }, (_, i) => own * 2 ** Math.min(i + 1, count)),
      );
    }
    const values = plan.bytes / (4 * N * N);
    assert.ok(
      values <= 2 + count + 1 + 3,
      `${values} values: inputs, results, and those that later steps read`,
    );
  },
);

Deno.test("a plan gives all its memory back", async () => {
  using device = await openDevice();
  const stream = streamOf(device);
  {
    const x = filled(1); // the stream's own uniforms are made at the first flush
    await x.add(1).data();
  }
  const before = device.buffers.usage();
  const { plan, run } = traced(device, [filled(0), filled(0)], twoParts);
  const given = [filled(1), filled(1)];
  const results = run(...given);
  await stream.flush();
  stream.drop(plan);
  for (const { node } of [...results, ...given]) node.storage!.release();
  const after = device.buffers.usage();
  assert.ok(after.count <= before.count + 2, `${after.count} buffers, ${before.count} before`); // the two examples
});

testOnBothEngines(
  "values that a traced function makes stay for the next call, and go with its plan",
  async (device) => {
    const before = device.buffers.usage().count;
    const x = filled(1);
    const { plan, run } = traced(device, [x], (x) => [x.add(tensor([2], [1])).mul(zeros([1]).add(3))]);
    const results: number[] = [];
    for (let call = 0; call < 3; call++) {
      using _step = scope();
      results.push(await first(run(x)[0]!));
    }
    assert.deepEqual(results, [9, 9, 9]);
    streamOf(device).drop(plan);
    x.node.storage!.release();
    assert.ok(device.buffers.usage().count <= before + 1); // the stream's uniforms
  },
);

testOnBothEngines("what a finalizer frees while weights come was read before", async (device) => {
  const weight = new Leaf("f32", SIZE, "weight");
  const w = new Tensor(device, weight, [SIZE], [1], 0);
  const slot = () => device.buffers.create("slot", 4096, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST);
  let x = filled(2);
  weight.pager = {
    slots: [slot(), slot()],
    fill: (_, { buffer, offset }) => {
      device.buffers.destroy(x.node.storage!.buffer); // as the finalizer does, where nobody has x any more
      device.gpu.queue.writeBuffer(buffer, offset, new Float32Array(SIZE).fill(5));
      return Promise.resolve();
    },
    check: () => Promise.resolve(),
  };
  assert.equal(await first(total(x).add(w)), 2 * SIZE + 5);
  const { run } = traced(device, [x], (x) => [total(x).add(w)]);
  x = filled(4);
  assert.equal(await first(run(x)[0]!), 4 * SIZE + 5);
});

Deno.test("a plan in f16 follows its f32 self", async () => {
  using device = await openDevice();
  if (!device.traits.f16) return;
  const dice = new Dice(11);
  const upload = (shape: number[]) => tensor(dice.numbers(shape.reduce((a, b) => a * b), 0.5), shape);
  const x = upload([1, 4, 5, 6]).channelsLast();
  const [weight, bias, scale, shift] = [[6, 4, 3, 3], [6], [4], [4]].map(upload);
  const layer = (x: Tensor) => {
    const [w, b, s, t] = [weight, bias, scale, shift].map((weights) => weights!.cast(x.dtype)) as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ];
    return conv2d(silu(groupNorm(x, { weight: s, bias: t }, { groups: 2 })), { weight: w, bias: b }, {
      padding: 1,
    });
  };
  const want = await layer(x).data();
  const half = x.cast("f16").channelsLast();
  const { run } = traced(device, [half], (x) => [layer(x).cast("f32")]);
  for (let i = 0; i < 3; i++) assertClose(await run(half)[0]!.data(), want, 5e-3, `run ${i}`);
});
