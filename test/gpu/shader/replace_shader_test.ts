import assert from "node:assert/strict";
import { compose } from "../../../src/gpu/shader/compose.ts";
import { currentDevice } from "../../../src/gpu/device.ts";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { replaceShader, replaceShaders } from "../../../src/gpu/shader/replace_shader.ts";
import { SHADER_FILES, type Snippet, snippet } from "../../../src/gpu/shader/snippet.ts";
import "../../../src/models/mod.ts";
import { softmax } from "../../../src/ops/mod.ts";
import { kernel, tensor } from "../../../src/tensor/mod.ts";
import { testOnBothEngines } from "../../support/engines.ts";
import { TestFolder } from "../../support/files.ts";
import { shaderFiles } from "../../support/shader_files.ts";
import { traced } from "../../support/traced.ts";

const ACTIVATIONS = "shaders/lib/activations.wgsl";
const RELU = "select(max(x, vec4f(0.0)), x";
const activations = SHADER_FILES.get(ACTIVATIONS)!.text;
/** relu() as |x|. */
const folded = activations.replace(RELU, "select(abs(x), x");

Deno.test("every file of shaders/ is known under its path", () => {
  for (const { name, text } of shaderFiles()) assert.equal(SHADER_FILES.get(name)?.text, text, name);
});

testOnBothEngines(
  "replaceShader() changes plans that ran before, and what is recorded later",
  async (device) => {
    const x = tensor([-1, 2]);
    const { run } = traced(device, [x], (x) => [x.relu().add(1)]);
    const values = async () => [...await run(x)[0]!.data()];
    assert.deepEqual([...await x.relu().data()], [0, 2]);
    assert.deepEqual(await values(), [1, 3]);
    assert.deepEqual(await values(), [1, 3]);
    const { count } = device.pipelines.statistics;
    assert.equal(await replaceShader(device, ACTIVATIONS, folded), 2);
    assert.deepEqual(await values(), [2, 3], "x is what it was, but the kernel is not");
    assert.deepEqual([...await x.relu().data()], [1, 2]);
    assert.equal(device.pipelines.statistics.count, count);
    assert.deepEqual([...await x.mul(2).relu().data()], [2, 4], "compiled for the first time");
    assert.equal(await replaceShader(device, ACTIVATIONS), 3);
    assert.deepEqual(await values(), [1, 3]);
    assert.deepEqual([...await x.mul(2).relu().data()], [0, 4]);
  },
);

testOnBothEngines(
  "a text that stood before the last one comes back without a compilation",
  async (device) => {
    const x = tensor([-1, 2]);
    const values = async () => [...await x.relu().data()];
    assert.deepEqual(await values(), [0, 2]);
    const { gpu } = device;
    const create = gpu.createShaderModule.bind(gpu);
    let compiled = 0;
    gpu.createShaderModule = (descriptor) => (compiled++, create(descriptor));
    assert.equal(await replaceShader(device, ACTIVATIONS, folded), 1);
    assert.equal(compiled, 1);
    for (let turn = 0; turn < 2; turn++) {
      assert.equal(await replaceShader(device, ACTIVATIONS), 1);
      assert.deepEqual(await values(), [0, 2]);
      assert.equal(await replaceShader(device, ACTIVATIONS, folded), 1);
      assert.deepEqual(await values(), [1, 2]);
    }
    assert.equal(compiled, 1);
    await replaceShader(device, ACTIVATIONS, `${folded}// another`);
    await replaceShader(device, ACTIVATIONS);
    assert.equal(compiled, 3, "only the last one before is kept");
    assert.deepEqual(await values(), [0, 2]);
  },
);

testOnBothEngines("replaceShader() reaches kernels and the snippets that they need", async (device) => {
  const x = tensor([[1, 2], [3, 5]]);
  const before = await softmax(x).data();
  const path = "shaders/norm/softmax.wgsl";
  const { text } = SHADER_FILES.get(path)!;
  assert.equal(await replaceShader(device, path, `// edited\n${text.replaceAll("exp(", "exp2(")}`), 1);
  assert.deepEqual([...await softmax(x).data()].map((y) => y.toFixed(3)), [
    "0.333",
    "0.667",
    "0.200",
    "0.800",
  ]);
  await replaceShader(device, path);
  assert.deepEqual(await softmax(x).data(), before);
  const grid = SHADER_FILES.get("shaders/lib/grid.wgsl")!;
  assert.equal(await replaceShader(device, grid.name, `${grid.text}\n// edited`), 1);
  assert.deepEqual(await softmax(x).data(), before);
});

testOnBothEngines(
  "the old text stays where a new one does not compile, and the error names its line",
  async (device) => {
    const x = tensor([-1, 2]);
    assert.deepEqual([...await x.relu().data()], [0, 2]);
    await assert.rejects(replaceShader(device, ACTIVATIONS, activations.replace(RELU, "nothing(x")), {
      name: "ShaderError",
      message:
        /^Cannot compile shaders\/lib\/activations\.wgsl:\d+:\d+: .+ in "return nothing\(x, fused_is_nan\(x\)\);"$/,
    });
    assert.deepEqual([...await x.relu().data()], [0, 2]);
    assert.deepEqual([...await x.sub(1).relu().data()], [0, 1]);
    assert.equal(device.pipelines.replacements, 0);
  },
);

testOnBothEngines(
  "replaceShader() waits for kernels that still compile, and for one text after the other",
  async (device) => {
    const x = tensor([-1, 2]);
    const first = x.relu().data();
    const replaced = [replaceShader(device, ACTIVATIONS, folded), replaceShader(device, ACTIVATIONS)];
    const meanwhile = x.add(1).relu().data();
    await Promise.all(replaced);
    assert.deepEqual([...await first, ...await meanwhile].map(Math.abs).length, 4);
    assert.deepEqual([...await x.relu().data()], [0, 2]);
    assert.deepEqual([...await x.add(-1).relu().data()], [0, 1]);
  },
);

testOnBothEngines(
  "a GPU that takes the place of a lost one has the text that was under way",
  async (device) => {
    const values = () => tensor([-1, 2]).relu().data();
    await values();
    const replaced = replaceShader(device, ACTIVATIONS, folded);
    await device.reopen();
    const [first, second] = await values(); // by either text: the new one may come before the GPU
    assert.ok((first === 0 || first === 1) && second === 2, `got ${first}, ${second}`);
    await replaced;
    assert.deepEqual([...await values()], [1, 2]);
  },
);

testOnBothEngines("files that are given equal texts remain two", async (device) => {
  const body = (value: number) =>
    `var<storage, read_write> y: array<u32>;
    @compute @workgroup_size(1) fn main() { y[0] = ${value}u; }`;
  const [one, two] = [snippet("test/one", body(1)), snippet("test/two", body(2))];
  const pipelineOf = (file: Snippet) =>
    device.pipelines.get({
      key: file.name,
      label: "test",
      bindings: ["write"],
      source: (texts) => compose({ label: "test", kernel: { code: [file], bindings: ["write"] } }, texts),
    });
  const pipelines = [pipelineOf(one), pipelineOf(two)];
  await Promise.all(pipelines.map(({ ready }) => ready));
  const before = pipelines.map(({ gpu }) => gpu);
  assert.equal(await replaceShader(device, two.name, one.text), 1);
  assert.equal(await replaceShader(device, two.name, body(3)), 1);
  assert.equal(await replaceShader(device, two.name, body(3)), 0);
  assert.equal(pipelines[0]!.gpu, before[0]);
  assert.notEqual(pipelines[1]!.gpu, before[1]);
  assert.equal(device.pipelines.statistics.count, 2);
});

testOnBothEngines("replaceShader() keeps what the host gives a kernel", async (device) => {
  const params = SHADER_FILES.get("shaders/norm/lib/group_params.wgsl")!;
  await assert.rejects(
    replaceShader(device, params.name, params.text.replace("groups: u32,", "")),
    /^TypeError: Cannot replace "shaders\/norm\/lib\/group_params\.wgsl": expected struct Params with .*groups: u32/,
  );
  const values = SHADER_FILES.get("shaders/lib/values_4.wgsl")!;
  await softmax(tensor([[1, 2, 3, 4]])).data();
  await assert.rejects(
    replaceShader(device, values.name, values.text.replace("Host sets: X", "The host sets X")),
    /^Error: Cannot set "X" of \w+: shaders\/lib\/values_4\.wgsl has it, but does not list it/,
  );
});

testOnBothEngines(
  "replaceShader() refuses what is no file, and leaves a user's kernel alone",
  async (device) => {
    await assert.rejects(replaceShader(device, "shaders/group_norm.wgsl", ""), {
      name: "TypeError",
      message:
        'Cannot replace "shaders/group_norm.wgsl": expected a file of shaders/, got none; nearest is ' +
        '"shaders/norm/group_norm.wgsl"',
    });
    const wgsl = `
    var<storage, read> x: array<f32>;
    @compute @workgroup_size(1) fn main() { store(0u, 0u, 0u, x[0]); }`;
    const run = () =>
      kernel({ name: ACTIVATIONS, wgsl, inputs: [tensor([3])], shape: [1], workgroups: 1 }).data();
    assert.deepEqual([...await run()], [3]);
    assert.equal(await replaceShader(device, ACTIVATIONS, folded), 0);
    assert.deepEqual([...await run()], [3]);
  },
);

testOnBothEngines("openDevice() takes a folder of shaders in front of ours", async ({ engine }) => {
  using folder = new TestFolder();
  folder.write("lib/activations.wgsl", folded);
  folder.write("convert/lib/stored.wgsl", SHADER_FILES.get("shaders/convert/lib/stored.wgsl")!.text);
  folder.write("lib/.#activations.wgsl", "an editor's own");
  folder.write("notes.md", "");
  {
    using _device = await openDevice({ engine, shaders: folder.path });
    assert.deepEqual([...await tensor([-1, 2]).relu().data()], [1, 2]);
  }
  folder.write("activations.wgsl", folded);
  const before = currentDevice();
  await assert.rejects(openDevice({ engine, shaders: folder.path }), {
    name: "TypeError",
    message: 'Cannot replace "shaders/activations.wgsl": expected a file of shaders/, got none; nearest is ' +
      '"shaders/lib/activations.wgsl"',
  });
  assert.equal(currentDevice(), before, "none is left open");
  await assert.rejects(openDevice({ engine, shaders: `${folder.path}/none` }), {
    message: `Cannot read shaders of ${folder.path}/none: no such folder; check the path`,
  });
});

testOnBothEngines("texts that are replaced together may need each other", async (device) => {
  const x = tensor([[1, 2], [3, 5]]);
  const before = await softmax(x).data();
  const renamed = (path: string) =>
    [path, SHADER_FILES.get(path)!.text.replaceAll("workgroup_number", "number_of_workgroup")] as const;
  const [grid, main] = ["shaders/lib/grid.wgsl", "shaders/lib/workgroup_main.wgsl"].map(renamed);
  await assert.rejects(replaceShader(device, ...grid!), { name: "ShaderError" });
  assert.equal(await replaceShaders(device, new Map([grid!, main!])), 1);
  assert.deepEqual(await softmax(x).data(), before);
});
