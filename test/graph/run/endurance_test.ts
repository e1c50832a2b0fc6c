import assert from "node:assert/strict";
import { runChild } from "../../support/child.ts";

/**
 * A traced function run 100 times, each in a scope;
 * prints buffers at the start and end, and memory in between.
 */
const CODE = `
  import { openDevice, scope, tensor } from "denoise";
  import { groupNorm, linear } from "denoise/ops";
  import { traced } from "./test/support/traced.ts";
  using device = await openDevice();
  const upload = (n, ...shape) => tensor(new Float32Array(shape.reduce((a, b) => a * b)).fill(n), shape);
  const weight = upload(0.01, 256, 256);
  const { run } = traced(device, [upload(0, 64, 256)], (x) => [groupNorm(linear(x, { weight }), {}, { groups: 4 })]);
  const [usage, resident] = [[], []];
  for (let i = 0; i < 300; i++) {
    {
      using _step = scope();
      const [y] = run(upload(i, 64, 256));
      await y.add(i).data();
    }
    usage.push(device.buffers.usage().count);
    if (i % 10 === 9) resident.push(Deno.memoryUsage().rss);
  }
  console.log(JSON.stringify({ usage, resident }));`;

Deno.test("hundreds of runs leave as many buffers as the first, and no more memory", async () => {
  const { code, stdout, stderr } = await runChild(CODE);
  assert.equal(code, 0, stderr);
  const { usage, resident }: { usage: number[]; resident: number[] } = JSON.parse(stdout);
  assert.deepEqual(new Set(usage.slice(5)).size, 1, `live buffers: ${usage}`);
  const [middle, last] = [Math.max(...resident.slice(8, 18)), Math.min(...resident.slice(-5))];
  assert.ok(last < middle * 1.1, `resident bytes: ${resident}`);
});
