import assert from "node:assert/strict";
import { type CustomKernel, kernel, openDevice, type Tensor, tensor } from "../../src/mod.ts";
import { streamOf } from "../../src/graph/run/stream.ts";
import { testOnBothEngines } from "../support/engines.ts";
import { baseInputs, loadBase } from "../support/unet_base.ts";

/** x · amount, element by element. */
const amplify = (type = "f32") => `
alias X = ${type};
struct Params { count: u32, amount: f32 } // of x
@group(0) @binding(0) var<storage, read> x: array<X>;
@group(0) @binding(2) var<uniform> params: Params;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32) {
  let i = workgroup_number(group, groups) * 64u + lane;
  if (i < params.count) { store(0u, 0u, i, params.amount * f32(x[i])); }
}`;

const run = (x: Tensor, options: Partial<CustomKernel> = {}) =>
  kernel({
    name: "amplify.wgsl",
    wgsl: amplify(),
    inputs: [x],
    shape: [x.size],
    params: { count: x.size, amount: 2 },
    workgroups: Math.ceil(x.size / 64),
    ...options,
  });

testOnBothEngines(
  "kernel() runs a shader of one's own with what follows it in one dispatch",
  async (device) => {
    const x = tensor(Float32Array.from({ length: 6 }, (_, i) => i), [2, 3]);
    const wgsl = amplify().replace("store(0u, 0u, i,", "store(0u, i / 3, i % 3,");
    const y = run(x, { wgsl, shape: [2, 3] }).add(tensor([10, 20, 30])).relu();
    assert.deepEqual([...await y.data()], [10, 22, 34, 16, 28, 40]);
    assert.equal(streamOf(device).statistics.dispatches, 1);
    const flat = run(x).reshape([2, 3]).neg();
    assert.deepEqual([...await flat.data()], [-0, -2, -4, -6, -8, -10]);
    assert.equal(streamOf(device).statistics.dispatches, 1);
  },
);

testOnBothEngines(
  "kernel() reads views and transposes as they are seen, and keeps texts of one name apart",
  async () => {
    const x = tensor(Float32Array.from({ length: 12 }, (_, i) => i), [3, 4]);
    assert.deepEqual([...await run(x.slice(0, 1, 2)).data()], [8, 10, 12, 14]);
    assert.deepEqual([...await run(x.permute([1, 0])).data()], [0, 8, 16, 2, 10, 18, 4, 12, 20, 6, 14, 22]);
    const wgsl = amplify().replace("params.amount *", "params.amount +");
    assert.deepEqual([...await run(x.slice(0, 0, 1), { wgsl }).data()], [2, 3, 4, 5]);
  },
);

testOnBothEngines("kernel() stores by batch, row and column of any shape, and in other types", async () => {
  const wgsl = `
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@compute @workgroup_size(4)
fn main(@builtin(global_invocation_id) id: vec3u) { // of [2, 3, 1, 4] a row
  for (var batch = 0u; batch < 6u; batch++) { if (id.x == batch % 4) { store(batch, 0u, 0u, x[batch]); } }
}`;
  const values = Float32Array.from({ length: 24 }, (_, i) => i + 0.25);
  const x = tensor(values, [2, 3, 1, 4]);
  const y = kernel({ wgsl, inputs: [x], shape: [2, 3, 1, 4], width: 4, workgroups: 1 });
  assert.deepEqual(
    await y.mul(tensor([1, 2, 3], [3, 1, 1])).div(tensor([1, 2, 3], [3, 1, 1])).data(),
    values,
  );
  const wide = { inputs: [x], shape: [24], dtype: "f16", params: { count: 24, amount: 1 } } as const;
  const half = run(x, wide);
  assert.equal(half.dtype, "f16");
  assert.deepEqual([...await run(half, { wgsl: amplify("f16") }).data()], [...values].map((v) => 2 * v));
});

testOnBothEngines("kernel() numbers what its text does not", async () => {
  const wgsl = `
struct Params { count: u32 }
var<uniform> params: Params;
var<storage, read> a: array<f32>; /* var<storage, read> none: array<f32>; */
var<storage, read> b: array<vec2<u32>>;
@compute @workgroup_size(4)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < params.count) { store(0u, 0u, id.x, a[id.x] - f32(b[id.x / 2u][id.x % 2u])); }
}`;
  const [a, b] = [tensor([5, 7, 9, 11]), tensor([1, 2, 3, 4]).cast("u32")];
  const options = { wgsl, shape: [4], params: { count: 4 }, workgroups: 1 };
  assert.deepEqual([...await kernel({ ...options, inputs: [a, b] }).data()], [4, 5, 6, 7]);
  assert.throws(() => kernel({ ...options, inputs: [b, a] }), /expected a to hold f32, as its text says/);
  await assert.rejects(kernel({ ...options, inputs: [a, b, a] }).data(), {
    message:
      "Cannot compose kernel.wgsl: expected 3 variables `var<storage, read>`, one for each input, got a, b",
  });
});

testOnBothEngines("kernel() works within an edit of a model that is traced", async () => {
  using unet = await loadBase();
  const draw = async () => await unet.forward(...baseInputs()).sample.data();
  const doubled = await (async () => {
    using _edit = unet.edit("mid_block", (y) => y.mul(2));
    return await draw();
  })();
  using _edit = unet.edit("mid_block", (y) => run(y).reshape(y.shape));
  const first = await draw();
  for (const [i, value] of first.entries()) assert.ok(Math.abs(value - doubled[i]!) < 1e-5);
  assert.deepEqual(await draw(), first); // by its plan
});

testOnBothEngines(
  "kernel() shows its errors by name and line, and stands in dumps by its name",
  async (device) => {
    await assert.rejects(run(tensor([1]), { wgsl: amplify().replace("f32(x[i])", "x[j]") }).data(), {
      name: "ShaderError",
      message: /^Cannot compile amplify\.wgsl:10:\d+: .*j.* in "if \(i < params\.count\)/,
    });
    const y = run(tensor([1, 2]));
    assert.deepEqual([...await y.data()], [2, 4]); // the device works on
    await assert.rejects(run(tensor([1]), { wgsl: `enable none_such;${amplify()}` }).data(), {
      message: /^Cannot compile directives of amplify\.wgsl:1:\d+: .*none_such/,
    });
    using unet = await loadBase();
    using _edit = unet.edit("mid_block", (y) => run(y).reshape(y.shape));
    await unet.forward(...baseInputs()).sample.data();
    assert.match(device.dump(), /= amplify\.wgsl\(.*@ mid_block/);
  },
);

Deno.test("kernel() refuses at once what cannot fit", async () => {
  using _device = await openDevice();
  const x = tensor([1, 2, 3]);
  const refused = (options: Partial<CustomKernel>, message: string) =>
    assert.throws(() => run(x, options), { message: `Cannot run amplify.wgsl: ${message}` });
  refused({ workgroups: 0 }, "expected a whole number of workgroups from 1, got 0");
  refused({ params: { count: 3 } }, "expected amount to be a f32, got none");
  refused({ params: { count: 3, amount: NaN } }, "expected amount to be a f32, got NaN");
  refused({ params: { count: -1, amount: 1 } }, "expected count to be a u32, got -1");
  refused({ params: { count: 1.5, amount: 1 } }, "expected count to be a u32, got 1.5");
  refused({ params: { count: 1, amount: 1, more: 1 } }, 'expected params count, amount, got "more"');
  refused({ inputs: [] }, "expected no binding 0, which is the output's; it is declared beside the kernel");
  refused(
    { inputs: [x, x] },
    "expected no binding 2, which is the output's; it is declared beside the kernel",
  );
  refused(
    { wgsl: amplify().replace("binding(2)", "binding(3)") },
    "expected bindings of 1 inputs from 0, and 2 for params, got 3",
  );
  refused(
    { wgsl: amplify().replace("group(0)", "group(1)") },
    "expected variables in @group(0), got one in @group(1)",
  );
  refused(
    { wgsl: amplify().replace("storage, read>", "storage, read_write>") },
    "expected inputs as `var<storage, read>`, got x, which is written to; results go to store()",
  );
  assert.throws(() => run(x, { worksgroups: 2 } as Partial<CustomKernel>), {
    message: "Cannot run amplify.wgsl with worksgroups: no such option; did you mean workgroups?",
  });
  refused({ wgsl: "// nothing" }, "expected an entry point `fn main`, got none");
  refused(
    { wgsl: "fn main() {}" },
    "expected results in store(batch, row, column, value), got no call of it",
  );
  refused(
    { wgsl: `${amplify()}\nstruct Work { a: u32 }` },
    'expected names of its own, got "Work", which is declared beside it; call it otherwise',
  );
  refused(
    { inputs: [x.cast("f16")] },
    "expected x to hold f32, as its text says, got a tensor of f16; cast the tensor, or set the type through an alias",
  );
  refused({ width: 4 }, "expected columns in fours at width 4, got shape [3]");
  await assert.rejects(run(x, { set: { WIDE: 1 } }).data(), /^Error: Cannot set "WIDE" of amplify\.wgsl: /);
  assert.deepEqual([...await run(x.cast("f16"), { set: { X: "f16" } }).data()], [2, 4, 6]);
});

Deno.test("a kernel that goes astray harms nothing on a device opened as robust", async () => {
  using device = await openDevice({ engine: "dawn", robust: true });
  const neighbours = [tensor(Array(64).fill(7)), tensor(Array(64).fill(8))];
  await Promise.all(neighbours.map((tensor) => tensor.data()));
  const wgsl = `
    struct Params { far: u32 }
    var<storage, read> x: array<f32>;
    var<uniform> params: Params;
    @compute @workgroup_size(64)
    fn main(@builtin(local_invocation_index) lane: u32) {
      store(0u, 0u, lane, x[lane] + 1.0);
      store(0u, 0u, params.far * (lane + 1u), x[params.far * lane]); // 32 MiB apart, up to 2 GiB behind its end
    }`;
  const y = kernel({ wgsl, inputs: [neighbours[0]!], shape: [64], params: { far: 1 << 23 }, workgroups: 1 });
  const values = [...await y.data()];
  // What is beyond an end is dropped, or taken for the last element.
  assert.deepEqual(values.slice(0, 63), Array(63).fill(8));
  assert.deepEqual([...await neighbours[0]!.data()], Array(64).fill(7));
  assert.deepEqual([...await neighbours[1]!.data()], Array(64).fill(8));
  await device.idle();
});
