import assert from "node:assert/strict";
import type { Device } from "../../../src/gpu/device.ts";
import type { PipelineSpec } from "../../../src/gpu/shader/pipelines.ts";
import { recordKernel, type Tensor, tensor } from "../../../src/tensor/mod.ts";
import { testOnBothEngines } from "../../support/engines.ts";

const kernel = (body: string): PipelineSpec => ({
  key: body,
  label: "broken",
  bindings: ["write"],
  source: () => [
    { name: "shaders/lib/first.wgsl", text: "// one\nfn one() -> f32 { return 1.0; }\n" },
    {
      name: "shaders/broken.wgsl",
      text:
        `@group(0) @binding(0) var<storage, read_write> y: array<f32>;\n@compute @workgroup_size(1)\nfn main() {\n${body}\n}`,
    },
  ],
});

const compile = (device: Device, body: string) => device.pipelines.get(kernel(body)).ready;

testOnBothEngines("a shader that does not compile is named with file, line and column", async (device) => {
  await assert.rejects(compile(device, "  y[0] = nothing();"), {
    name: "ShaderError",
    message: /^Cannot compile shaders\/broken\.wgsl:4:\d+: .+ in "y\[0\] = nothing\(\);"$/,
  });
  await compile(device, "  y[0] = one();");
});

testOnBothEngines("an error in a snippet is named by the snippet's own lines", async (device) => {
  const spec: PipelineSpec = {
    ...kernel("  y[0] = one();"),
    key: "snippet",
    source: () => [{ name: "shaders/lib/good.wgsl", text: "// good\n" }, {
      name: "shaders/lib/bad.wgsl",
      text: "\nfn bad() -> f32 { return x; }",
    }],
  };
  await assert.rejects(
    device.pipelines.get(spec).ready,
    /^ShaderError: Cannot compile shaders\/lib\/bad\.wgsl:2:\d+: /,
  );
});

testOnBothEngines("equal keys and equal texts share one pipeline", async (device) => {
  const [a, b] = [
    device.pipelines.get(kernel("  y[0] = 1.0;")),
    device.pipelines.get(kernel("  y[0] = 1.0;")),
  ];
  assert.equal(a, b);
  const other = device.pipelines.get({ ...kernel("  y[0] = 1.0;"), key: "of the same text" });
  assert.equal(a, other);
  assert.equal(device.pipelines.statistics.count, 1);
  await a.ready;
  assert.ok(a.gpu && device.pipelines.statistics.compileMs >= 0);
});

testOnBothEngines(
  "a tensor whose kernel does not compile says so each time it is read, and nothing else suffers",
  async () => {
    const x = tensor([1, 2]);
    const broken = brokenFrom(x);
    const fine = x.add(1);
    await assert.rejects(broken.data(), { name: "ShaderError" });
    assert.deepEqual([...await fine.data()], [2, 3]);
    await assert.rejects(broken.data(), /^ShaderError: Cannot compile shaders\/broken\.wgsl:1:/);
  },
);

testOnBothEngines("a kernel that fails while other work compiles does not spoil that work", async () => {
  const x = tensor([1, 2]);
  const y = x.mul(3);
  const compiling = y.data();
  await assert.rejects(brokenFrom(x).data(), { name: "ShaderError" });
  await compiling.catch((error: Error) => assert.equal(error.name, "ShaderError")); // they share a submission
  assert.deepEqual([...await y.data()], [3, 6]);
});

/** A tensor whose kernel does not compile. */
function brokenFrom(x: Tensor): Tensor {
  return recordKernel("broken", {
    inputs: [x],
    shape: [2],
    dtype: "f32",
    code: [{ name: "shaders/broken.wgsl", text: "var<storage, read> x: array<f32>; fn main() { let }" }],
    params: {},
    axes: [1, 1, 1, 2],
    workgroups: 1,
  });
}
