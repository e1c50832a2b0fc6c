import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { Leaf, type Pass } from "../../../src/graph/node.ts";
import { streamOf } from "../../../src/graph/run/stream.ts";
import { cat, recordChoice, scope, Tensor, tensor, weightedSum, zeros } from "../../../src/tensor/mod.ts";
import { assertClose } from "../../support/close.ts";
import { testOnBothEngines } from "../../support/engines.ts";

testOnBothEngines(
  "a running mean that is submitted at each step stays right and needs no new pipeline",
  async (device) => {
    const stream = streamOf(device);
    let mean = tensor([0, 1, 2]);
    const want = [0, 1, 2];
    let pipelines = 0;
    for (let step = 0; step < 30; step++) {
      const x = tensor([step, -step, 0.5]);
      mean = mean.mul(0.9).add(x);
      [step, -step, 0.5].forEach((value, i) => want[i] = want[i]! * 0.9 + value);
      await stream.flush();
      if (step === 1) pipelines = device.pipelines.statistics.count;
    }
    assertClose(await mean.data(), want, 1e-4, "mean");
    assert.equal(device.pipelines.statistics.count, pipelines);
  },
);

Deno.test("other scalars need no other pipeline", async () => {
  using device = await openDevice();
  const [a, b] = [tensor([1, 2, 3]), tensor([3, 2, 1])];
  const counts = new Set<number>();
  for (let step = 0; step < 20; step++) {
    const y = await weightedSum([step, a], [1 / (step + 1), b]).clamp(-step, step).data();
    assert.equal(y[1], Math.min(step, Math.fround(2 * step + 2 * Math.fround(1 / (step + 1)))));
    counts.add(device.pipelines.statistics.count);
  }
  assert.equal(counts.size, 1);
});

Deno.test("a value that a submission passed over is there for a later one", async () => {
  using device = await openDevice();
  const inner = tensor([1, 2]).mul(2);
  const middle = inner.add(1);
  assert.deepEqual([...await middle.mul(10).data()], [30, 50]);
  assert.equal(inner.node.storage, undefined, "the chain ran as one dispatch");
  assert.deepEqual([...await middle.sub(1).data()], [2, 4]);
  assert.deepEqual([...await inner.data()], [2, 4]);
  assert.deepEqual([...await middle.data()], [3, 5]);
  assert.equal(streamOf(device).statistics.dispatches, 1);
});

Deno.test("submissions interleave with recording", async () => {
  using _device = await openDevice();
  const x = tensor([1, 2, 3]);
  const reads: Promise<unknown>[] = [];
  let y = x;
  for (let i = 0; i < 10; i++) {
    y = y.add(x).mul(1);
    reads.push(y.data().then((data) => assert.deepEqual([...data], [i + 2, 2 * i + 4, 3 * i + 6])));
  }
  await Promise.all(reads);
});

Deno.test("integers are rounded down even where nothing is stored between", async () => {
  using _device = await openDevice();
  assert.deepEqual([...await tensor([1.7, -1.7, 2.2]).cast("i32").cast("f32").mul(2).data()], [2, -2, 4]);
});

testOnBothEngines("chains of hundreds of operations compile", async (device) => {
  let x = tensor([1]);
  for (let i = 0; i < 300; i++) x = x.add(1);
  assert.equal(await x.item(), 301);
  let y = tensor([1.0001]);
  for (let i = 0; i < 12; i++) y = y.mul(y); // an expression of 4096 factors if all were one
  assertClose(await y.data(), [Math.fround(1.0001) ** 4096], 1e-3, "power");
  assert.ok(device.pipelines.statistics.count < 40);
});

Deno.test("what was computed before a failure in the same submission is right", async () => {
  using device = await openDevice();
  const early = tensor([1, 2]).add(1);
  const huge = zeros([1]).expand([device.limits.maxStorageBufferBindingSize]).add(1);
  const late = tensor([5, 6]).add(1);
  await assert.rejects(huge.data(), {
    name: "RangeError",
    message: /^Cannot allocate .*: expected at most \d+ bytes/,
  });
  assert.deepEqual([...await early.data()], [2, 3]);
  assert.deepEqual([...await late.data()], [6, 7]);
});

Deno.test("a scope frees what was made in it, and keeps what it is told to", async () => {
  using device = await openDevice();
  const stream = streamOf(device);
  const weight = tensor([1, 2, 3]);
  let sample = tensor([0, 0, 0]);
  await sample.add(1).data();
  const counts = new Set<number>();
  for (let step = 0; step < 100; step++) {
    using scoped = scope(sample);
    const noise = tensor([step, step, step]);
    sample = scoped.keep(cat([sample, noise]).slice(0, 0, 3).add(weight).add(noise.mean()));
    await stream.flush();
    if (step > 2) counts.add(device.buffers.usage().count);
  }
  assert.equal(counts.size, 1, `live buffers over the steps: ${[...counts]}`);
  const sum = 99 * 100 / 2;
  assert.deepEqual([...await sample.data()], [100 + sum, 200 + sum, 300 + sum]);
});

Deno.test("a kept value is there although something else consumed it before the submission", async () => {
  using _device = await openDevice();
  let kept: Tensor;
  {
    using scoped = scope();
    kept = scoped.keep(tensor([1, 2]).add(1));
  }
  const next = kept.mul(2);
  assert.deepEqual([...await next.data()], [4, 6]);
  assert.deepEqual([...await kept.data()], [2, 3]);
});

Deno.test("a value of a closed scope says that it was disposed", async () => {
  using _device = await openDevice();
  let lost: Tensor;
  {
    using _scoped = scope();
    lost = tensor([1, 2]).add(1);
    await lost.data();
  }
  await assert.rejects(
    lost.data(),
    /^Error: Cannot read tensor \[2\] f32: it was disposed; keep it with scope.keep\(\)$/,
  );
  const late = lost.add(1);
  await assert.rejects(
    late.data(),
    /^Error: Cannot use a tensor that was disposed; keep it with scope.keep\(\)$/,
  );
  assert.deepEqual([...await tensor([1]).add(1).data()], [2], "work after the failure runs");
});

Deno.test("tensors of two devices cannot meet", async () => {
  using _first = await openDevice();
  const a = tensor([1]);
  using _second = await openDevice();
  assert.throws(() => a.add(tensor([1])), /^Error: Cannot combine tensors of two devices: /);
});

testOnBothEngines(
  "a kernel of several passes is right where each of them waits for the weights that it reads, and keeps no memory",
  async (device) => {
    const size = 64;
    const leaf = new Leaf("f32", size, "weight");
    const values = Float32Array.from({ length: size }, (_, i) => i - 20);
    let brought = 0;
    leaf.pager = {
      slots: [],
      fill(_, { buffer, offset }) {
        brought++;
        device.gpu.queue.writeBuffer(buffer, offset, values);
        return Promise.resolve();
      },
      check: () => Promise.resolve(),
    };
    const pass = (name: string, expression: string, inputs: string[], reads: number[]): Pass => {
      const text = [
        ...inputs.map((input) => `var<storage, read> ${input}: array<f32>;`),
        `@compute @workgroup_size(${size}) fn main(@builtin(local_invocation_index) i: u32) {`,
        `  store(0u, 0u, i, ${expression});`,
        `}`,
      ].join("\n");
      return { name, code: [{ name, text }], set: {}, params: {}, width: 1, workgroups: 1, reads };
    };
    const axes = [1, 1, 1, size] as const;
    const doubled = { ...pass("doubled", "2 * w[i]", ["w"], [0]), dtype: "f32" as const, axes };
    const last = pass("product", "twice[i] * w[i]", ["twice", "w"], [1, 0]);
    const weight = new Tensor(device, leaf, [size], [1], 0);
    await streamOf(device).flush();
    const { count } = device.buffers.usage();
    {
      using _scope = scope();
      const y = recordChoice("square", {
        candidates: [{ ...last, before: [doubled] }],
        shapeClass: "",
        inputs: [weight],
        shape: [size],
        dtype: "f32",
        axes,
      });
      assert.deepEqual([...await y.data()], [...values].map((w) => 2 * w * w));
      assert.equal(brought, 2);
    }
    await streamOf(device).flush();
    assert.ok(device.buffers.usage().count <= count + 1, "only the uniforms' buffer stays");
  },
);
