import { graphText } from "../../src/graph/dump/text.ts";
import assert from "node:assert/strict";
import { openDevice } from "../../src/gpu/open/open.ts";
import { conv2d, groupNorm, silu } from "../../src/ops/mod.ts";
import { cat, randn, tensor, zeros } from "../../src/mod.ts";
import { asGpu, testOnMatrixUnits } from "../support/engines.ts";
import { F16, F32, GEMM_CASES } from "../support/gemm_cases.ts";
import { traced } from "../support/traced.ts";

const TWO = GEMM_CASES["conv2d() of two pictures side by side, which are read where they lie"]!;

for (
  const candidate of ["gemm_tiled_128", "gemm_tiled_64", "gemm_tiled_32", "gemm_tiled_32_split2", "gemv"]
) {
  Deno.test(`conv2d() of two pictures side by side: ${candidate}`, async () => {
    using device = await openDevice({ candidate, profile: true });
    asGpu(device);
    await TWO(F32);
    const kernels = (await device.profiler!.rows()).map(({ kernel }) => kernel);
    assert.ok(kernels.some((kernel) => kernel.startsWith(candidate)), `${kernels}`);
  });
}

testOnMatrixUnits("conv2d() of two pictures side by side on matrix units", async () => {
  using device = await openDevice({ candidate: "gemm_matrix", profile: true });
  asGpu(device);
  await TWO(F16);
  const kernels = (await device.profiler!.rows()).map(({ kernel }) => kernel);
  assert.ok(kernels.some((kernel) => kernel.startsWith("gemm_matrix")), `${kernels}`);
});

Deno.test("a residual block reads what cat would join where it lies, to the same bits", async () => {
  using device = await openDevice();
  asGpu(device);
  const pictures = [randn([2, 64, 5, 6]).channelsLast(), randn([2, 32, 5, 6]).channelsLast()];
  const [weight, shortcut] = [randn([8, 96, 3, 3]), randn([8, 96, 1, 1])];
  await device.idle();
  const block = (join: typeof cat) =>
    traced(device, pictures, (a, b) => {
      const x = join([a!, b!], 1);
      const h = conv2d(silu(groupNorm(x, {}, { groups: 6 })), { weight }, { padding: 1 });
      return [conv2d(x, { weight: shortcut }).add(h)];
    });
  const where = block(cat);
  const copied = block((tensors, axis) => cat(tensors, axis).mul(1)); // which is no cat, but as many values
  assert.doesNotMatch(graphText(where.plan.graph()), /pointwise\(input/);
  const values = await where.run(...pictures)[0]!.data();
  assert.deepEqual(values, await copied.run(...pictures)[0]!.data());
});

Deno.test("what is no cat of two along the channels is convolved as it is", async () => {
  using device = await openDevice();
  asGpu(device);
  const x = tensor(Float32Array.from({ length: 64 * 4 }, (_, i) => i % 7), [1, 64, 2, 2]).channelsLast();
  const weight = randn([3, 64, 1, 1]);
  const want = await conv2d(x, { weight }).data();
  const rows = [x.slice(2, 0, 1), x.slice(2, 1, 2)];
  const thirds = x.split([32, 16, 16], 1);
  for (const same of [cat(rows, 2), cat(thirds, 1), cat(x.split([32, 32], 1), 1).add(zeros([1]))]) {
    assert.deepEqual(await conv2d(same, { weight }).data(), want);
  }
  const sliced = cat(x.split([32, 32], 1), 1).slice(2, 1);
  assert.deepEqual(await conv2d(sliced, { weight }).data(), await conv2d(x.slice(2, 1), { weight }).data());
});
