import assert from "node:assert/strict";
import { openDevice } from "../../src/gpu/open/open.ts";
import { streamOf } from "../../src/graph/run/stream.ts";
import { linear } from "../../src/ops/mod.ts";
import { named, tensor } from "../../src/tensor/mod.ts";

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
