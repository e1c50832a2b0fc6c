import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { streamOf } from "../../../src/graph/run/stream.ts";
import { linear } from "../../../src/ops/mod.ts";
import { named, scope, tensor } from "../../../src/tensor/mod.ts";

Deno.test("a profile has a time for every dispatch, and its rows add up", async () => {
  using device = await openDevice({ profile: true });
  const profiler = device.profiler!;
  const weight = tensor(new Float32Array(64 * 64).fill(0.01), [64, 64]);
  let x = tensor(new Float32Array(64 * 64).fill(1), [64, 64]);
  let dispatches = 0;
  for (let i = 0; i < 5; i++) {
    x = named("block", () => named(String(i % 2), () => linear(x, { weight }))).sum(0, { keepdim: true })
      .expand([64, 64]);
    await streamOf(device).flush();
    dispatches += streamOf(device).statistics.dispatches;
  }
  const timed = await profiler.dispatches();
  assert.equal(timed.length, dispatches);
  assert.ok(timed.every(({ ms, start }) => ms >= 0 && start > 0));
  assert.ok(timed.some(({ ms }) => ms > 0));
  const rows = await profiler.rows();
  const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);
  const total = sum(timed.map(({ ms }) => ms));
  assert.ok(Math.abs(sum(rows.map(({ ms }) => ms)) - total) < 1e-9 * total);
  assert.ok(Math.abs(sum(rows.map(({ share }) => share)) - 1) < 1e-9);
  assert.equal(sum(rows.map(({ calls }) => calls)), dispatches);
  const products = rows.filter(({ kernel }) => kernel.startsWith("gemm"));
  assert.deepEqual(products.map(({ path, calls }) => `${path} ${calls}`).sort(), ["block.0 3", "block.1 2"]);
  for (const row of products) {
    assert.ok(Math.abs(row.gflops - row.calls * 2 * 64 ** 3 / row.ms / 1e6) < 1e-6 * row.gflops);
  }
  assert.deepEqual(rows.map(({ ms }) => ms), rows.map(({ ms }) => ms).sort((a, b) => b - a));
  await profiler.reset();
  assert.equal((await profiler.dispatches()).length, 0);
});

Deno.test("a profile of more dispatches than a query set holds is whole", async () => {
  using device = await openDevice({ profile: true });
  let x = tensor([1]);
  for (let i = 0; i < 2100; i++) x = x.sum();
  assert.equal(await x.item(), 1);
  assert.equal((await device.profiler!.dispatches()).length, 2100);
});

Deno.test("stretches name what is recorded in them, whenever it runs, and are numbered", async () => {
  using device = await openDevice({ profile: true });
  const square = () => tensor(new Float32Array(16).fill(1), [16]).mul(2);
  const outside = square();
  {
    using _outer = device.mark("step");
    outside.add(1).sum();
    using _inner = device.mark("guidance");
    square().sum();
  }
  {
    using _ = device.mark("step");
    square().sum();
  }
  await streamOf(device).flush();
  const timed = await device.profiler!.dispatches();
  const found = timed.map(({ mark, turn }) => `${mark} ${turn}`);
  assert.deepEqual([...new Set(found)].sort(), ["step 1", "step 2", "step/guidance 1"]);
  assert.deepEqual(
    (await device.profiler!.recording()).stretches.map(({ mark, start, end }) => [mark, end! >= start]),
    [["step", true], ["step/guidance", true], ["step", true]],
  );
  const rows = await device.timings();
  assert.deepEqual([...new Set(rows.map(({ mark }) => mark))].sort(), ["step", "step/guidance"]);
  square().sum();
  await streamOf(device).flush();
  assert.equal((await device.profiler!.dispatches()).at(-1)!.mark, "");
});

Deno.test("a device without a profile takes stretches too, and does nothing", async () => {
  using device = await openDevice();
  using _ = device.mark("step");
  assert.equal(await tensor([1, 2]).sum().item(), 3);
});

Deno.test("timed as passes, the same dispatches, operations and bytes are counted", async () => {
  using device = await openDevice({ profile: true });
  const profiler = device.profiler!;
  const totals = [];
  for (const mode of ["off", "dispatches", "passes"] as const) {
    profiler.mode = mode;
    await profiler.reset();
    let x = tensor([1]);
    for (let i = 0; i < 5; i++) x = x.sum();
    await streamOf(device).flush();
    const timed = await profiler.dispatches();
    const sum = (key: "flops" | "bytes" | "dispatches") => timed.reduce((sum, one) => sum + one[key], 0);
    totals.push([timed.length, sum("dispatches"), sum("flops"), sum("bytes")]);
  }
  const [off, dispatches, passes] = totals;
  assert.deepEqual(off, [0, 0, 0, 0]);
  assert.equal(dispatches![0], 5);
  assert.equal(passes![0], 1);
  assert.deepEqual(passes!.slice(1), dispatches!.slice(1));
});

Deno.test("the host's time on a device's work is counted by its kind", async () => {
  using device = await openDevice();
  const before = { ...device.hostTimes };
  const start = performance.now();
  assert.equal(await tensor([1, 2]).sum().item(), 3);
  const wall = performance.now() - start;
  const spent = Object.entries(device.hostTimes).map(([kind, ms]) =>
    ms - before[kind as keyof typeof before]
  );
  assert.ok(spent.every((ms) => ms >= 0));
  assert.ok(device.hostTimes.submit > before.submit && device.hostTimes.wait > before.wait);
  assert.ok(spent.reduce((a, b) => a + b, 0) <= wall + 1);
});

Deno.test("a recording has the host's spans, and the GPU's work between its submission and its end", async () => {
  using device = await openDevice({ profile: true });
  const weight = tensor(new Float32Array(64 * 64).fill(0.01), [64, 64]);
  const x = tensor(new Float32Array(64 * 64).fill(1), [64, 64]);
  const run = () => named("mid_block", () => linear(x, { weight }).relu().mul(2).add(x)).data();
  await run();
  await device.profiler!.reset();
  const start = performance.now();
  await run();
  const end = performance.now();
  const { dispatches, host, clock, memory } = await device.profiler!.recording();
  assert.deepEqual(new Set(host.map(({ kind }) => kind)), new Set(["fuse", "encode", "submit", "wait"]));
  assert.ok(host.every((span) => start <= span.start && span.start <= span.end && span.end <= end));
  const { offset, slack } = clock!;
  assert.ok(slack >= 0 && slack < end - start, `slack ${slack}`);
  const submitted = host.find(({ kind }) => kind === "submit")!.start;
  for (const { start, ms } of dispatches) {
    assert.ok(start + offset >= submitted && start + ms + offset <= end);
  }
  assert.ok(memory.length > 1 && memory.every(([, bytes]) => bytes > 3 * 64 * 64 * 4));
  const [product] = dispatches;
  assert.equal(product!.path, "mid_block");
  assert.equal(product!.dtype, "f32");
  assert.equal(product!.fused.replaceAll(/[xc]\d/g, (name) => name[0]!), "relu(v) * c + x");
  const [fused] = product!.inputs.filter((input) => input.as);
  assert.ok(product!.fused.includes(fused!.as!));
  assert.deepEqual(fused!.shape.slice(-2), [64, 64]);
  assert.equal(product!.inputs.length, 3); // x, the weight, and x again
});

Deno.test("a profile begins and ends on an open device, which notes nothing before and after it", async () => {
  using device = await openDevice();
  const work = async () => {
    using _made = scope();
    return await tensor(new Float32Array(16).fill(1), [16]).mul(2).sum().item();
  };
  const on = () => [device.profiler, device.marks].map((one) => one !== undefined);
  await work();
  assert.deepEqual(on(), [false, false]);
  for (let turn = 0; turn < 2; turn++) {
    using profiling = device.beginProfile();
    assert.throws(() => device.beginProfile(), /^Error: Cannot begin a profile: one goes on; end it first$/);
    const profiler = device.profiler!;
    {
      using _ = device.mark("step");
      await work();
    }
    const { dispatches, stretches, memory } = await profiler.recording();
    assert.deepEqual(dispatches.map(({ kernel, mark }) => [kernel, mark]), [["pointwise", "step"], [
      "reduce",
      "step",
    ]]);
    assert.deepEqual([stretches.length, memory.length > 0], [1, true]);
    await work(); // its timestamps are never read
    profiling[Symbol.dispose]();
    assert.deepEqual(on(), [false, false]);
    await work();
    assert.equal((await profiler.recording()).stretches.length, 1);
    const { bytes } = device.buffers.usage();
    await work();
    assert.equal(device.buffers.usage().bytes, bytes);
  }
});
