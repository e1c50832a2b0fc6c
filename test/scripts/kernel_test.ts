import assert from "node:assert/strict";
import { join } from "node:path";
import { describeWork, type KernelDescription } from "../../scripts/kernel/description.ts";
import { KernelCompiler } from "../../scripts/kernel/compiler.ts";
import { EXAMPLES } from "../../scripts/kernel/shapes.ts";
import { describeKernel, dumpKernel } from "../../scripts/kernel/text.ts";
import { problemsOf, worksOf } from "../../scripts/kernel/works.ts";
import { FAMILIES } from "../../scripts/null_gpu/layer.ts";
import type { Device } from "../../src/gpu/device.ts";
import { SHADER_FILES } from "../../src/gpu/shader/snippet.ts";
import { asGpu, testOnBothEngines } from "../support/engines.ts";
import { missingNullGpu } from "../support/null_gpu.ts";
import { inFolder, runScript } from "../support/script.ts";

const model = join(import.meta.dirname!, "../../models/emoji-ddpm");

/** All kernels of some shapes, or of a model. */
async function describeAll(device: Device, origins: readonly { shape?: string; model?: string }[]) {
  const kernels: KernelDescription[] = [];
  for (const origin of origins) {
    const problems = await problemsOf(device, { ...origin, dtype: "f32" });
    const { works } = worksOf(device, problems, "", { most: Infinity });
    for (const work of works) {
      const all = work.problem.candidates.map((candidate) => ({ ...work, candidate }));
      kernels.push(...all.map((work) => describeWork(device, work)));
    }
  }
  return kernels;
}

testOnBothEngines(
  "what is dumped is a module by itself, with the bindings that it tells of",
  async (device) => {
    const kernels = await describeAll(device, [...EXAMPLES.map((shape) => ({ shape })), { model }]);
    asGpu(device);
    kernels.push(...await describeAll(device, EXAMPLES.map((shape) => ({ shape }))));
    const operators = new Set(kernels.map(({ operator }) => operator));
    assert.ok(operators.size > 9, [...operators].join());
    const passes = new Map(kernels.flatMap((kernel) => kernel.passes.map((pass) => [pass.text, pass])));
    assert.ok(passes.size > 60, `${passes.size}`);
    for (const { name, text, bindings, workgroupSize } of passes.values()) {
      const dumped = dumpKernel({ ...kernels[0]!, passes: [passes.get(text)!] });
      device.gpu.pushErrorScope("validation");
      const module = device.gpu.createShaderModule({ code: dumped });
      const layout = device.gpu.createBindGroupLayout({
        entries: bindings.map(({ binding, access }) => ({
          binding,
          visibility: GPUShaderStage.COMPUTE,
          buffer: {
            type: access === "uniform" ? "uniform" : access === "read" ? "read-only-storage" : "storage",
          },
        })),
      });
      device.gpu.createComputePipeline({
        layout: device.gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: "main" },
      });
      assert.equal((await device.gpu.popErrorScope())?.message, undefined, name);
      assert.ok(workgroupSize.every((n) => n >= 1) && workgroupSize[0] * workgroupSize[1] <= 1024, name);
    }
  },
);

testOnBothEngines(
  "a description has what the host set, and the params that a kernel is run with",
  async (device) => {
    const problems = await problemsOf(device, { shape: "6x77", dtype: "f32" });
    const { works: [work] } = worksOf(device, problems, "norm/softmax", { most: 1 });
    const kernel = describeWork(device, work!);
    const [pass] = kernel.passes as [KernelDescription["passes"][0]];
    assert.equal(kernel.shape, "1×1×6×77 from f32 to f32");
    assert.equal(kernel.bytes, 2 * 6 * 77 * 4);
    assert.deepEqual(pass.workgroups, [6, 1]);
    const set = Object.fromEntries(pass.constants.filter((c) => c.set).map((c) => [c.name, c.value]));
    assert.deepEqual(
      set,
      Object.fromEntries(Object.entries(work!.candidate.set).map(([k, v]) => [k, `${v}`])),
    );
    assert.equal(pass.workgroupSize[0], Number(set["WG"]));
    const [params] = pass.uniforms;
    const values = Object.fromEntries(params!.fields.map(([name, , value]) => [name, value]));
    assert.deepEqual(values, work!.candidate.params);
    assert.deepEqual(pass.bindings.map(({ name, access, bytes }) => [name, access, bytes]), [
      ["x", "read", 1848],
      ["y", "read_write", 1848],
      ["params", "uniform", 32],
      ["work", "uniform", 32],
    ]);
    const edited = SHADER_FILES.get("shaders/norm/softmax.wgsl")!;
    const other = describeWork(device, work!, new Map([[edited, `${edited.text}\n// mine`]]));
    assert.match(other.passes[0]!.text, /\/\/ mine$/m);
    assert.doesNotMatch(pass.text, /\/\/ mine$/m);
  },
);

testOnBothEngines("a kernel of a model is described with what is fused into it", async (device) => {
  const problems = await problemsOf(device, { model });
  const { works } = worksOf(device, problems, "group_norm", { most: Infinity });
  const kernels = works.map((work) => describeWork(device, work));
  const fused = kernels.find(({ fused }) => fused === "silu(add(mul(v,x1),x2))")!;
  assert.ok(fused, kernels.map(({ fused }) => fused).join());
  assert.ok(fused.path.length > 0 && fused.uses >= 1);
  assert.match(fused.passes[0]!.text, /fused_silu/);
  const names = fused.passes[0]!.bindings.map(({ name }) => name);
  assert.deepEqual(names, ["x", "y", "params", "x1_data", "x2_data", "work"]);
  assert.match(describeKernel(fused), /which stores silu\(add\(mul\(v,x1\),x2\)\); \d+ times?, first in /);
});

testOnBothEngines(
  "of a pipeline one part may be taken, and one model is taken as it is called",
  async (device) => {
    const paths = async (model: string, part?: string) =>
      (await problemsOf(device, { model, part })).map(({ path }) => path);
    const whole = await paths(join(model, "../emoji-diffusion"));
    const vae = await paths(join(model, "../emoji-diffusion"), "vae");
    assert.ok(vae.length > 10 && vae.every((path) => /^(decoder|post_quant_conv)/.test(path)), vae.join());
    assert.ok(whole.length > vae.length + 50);
    assert.deepEqual(await paths(join(model, "unet")), await paths(model));
  },
);

Deno.test("kernel.ts lists, shows and dumps kernels, and refuses what it would ignore", () =>
  inFolder(async (folder) => {
    const list = await runScript(folder, "kernel.ts", "--shape", "6x77");
    assert.equal(list.code, 0, list.stderr);
    assert.match(list.stdout, /\noperator +shapes +kernels.*\nsoftmax +1 +softmax\S*\*/);
    assert.match(list.stdout, /\nof no kernel at these shapes: .*shaders\/rotary\.wgsl/);
    const shown = await runScript(folder, "kernel.ts", "softmax", "--shape", "6x77", "--json", "a.json");
    assert.match(shown.stdout, /\nsoftmax 1×1×6×77 .*FLOP, .*B\nchosen: softmax\S*, the /);
    assert.match(shown.stdout, /\n {2}set by the host +X = f32, WG = \d+/);
    assert.match(shown.stdout, /\n {2}bindings +0 read x: .*, 1848 bytes\n/);
    assert.match(shown.stdout, /\n {2}params +rows 6, columns 77, .*\n {2}work +inner_batches 1/);
    const [kernel] = JSON.parse(await Deno.readTextFile(join(folder, "a.json"))) as KernelDescription[];
    const dump = await runScript(folder, "kernel.ts", "softmax", "--shape", "6x77", "--dump");
    assert.ok(dump.stdout.endsWith(`\n\n${kernel!.passes[0]!.text}\n`));
    assert.match(dump.stdout, /^\/\/ softmax 1×1×6×77/);
    const refused = async (message: RegExp, ...args: string[]) => {
      const { code, stderr } = await runScript(folder, "kernel.ts", ...args);
      assert.equal(code, 1);
      assert.match(stderr, message);
    };
    await refused(/^Cannot work on nothing: expected .* among .*softmax/, "nothing", "--shape", "6x77");
    await refused(
      /^Cannot take --shape 6: expected whole numbers as ROWSxCOLUMNS, /,
      "softmax",
      "--shape",
      "6",
    );
    await refused(/^Cannot take --shape with --model: /, "softmax", "--shape", "6x7", "--model", model);
    await refused(/^Cannot take --code without --as: /, "softmax", "--code", "a.s");
    await refused(
      /^Cannot take --engine or --adapter with --as: /,
      "softmax",
      "--as",
      "navi31",
      "--engine",
      "deno",
    );
    await refused(/^Cannot list kernels with --as, --dump or --json: /, "--dump");
    await refused(/^Cannot work on "": expected /, "", "--shape", "6x77");
    await refused(
      /^Cannot take --shape 1e9x1e9x1e9: expected whole numbers/,
      "gemm",
      "--shape",
      "1e9x1e9x1e9",
    );
    await refused(
      /^Cannot take --shape 60000x60000x60000: expected tensors of at most \d+ bytes/,
      "gemm",
      "--shape",
      "60000x60000x60000",
    );
    const emoji = ["attention", "--model", join(model, "../emoji-diffusion")];
    const size = await runScript(folder, "kernel.ts", ...emoji, "--part", "unet", "--size", "64");
    assert.match(size.stdout, /^attention 2×\d+×256×/m, size.stderr);
    await refused(
      /^Cannot draw with height 7: expected a multiple of 4/,
      ...emoji,
      "--part",
      "unet",
      "--size",
      "7",
    );
    await refused(
      /^Cannot draw with height 62: expected a multiple of 4/,
      ...emoji,
      "--part",
      "vae",
      "--size",
      "62",
    );
    await refused(/^Cannot take --as gpu: expected vega10 or /, "softmax", "--as", "gpu");
  }));

for (const family of FAMILIES) {
  Deno.test({
    name: `kernels as ${family} has them: registers, occupancy and what limits it, machine code`,
    ignore: missingNullGpu !== undefined,
    async fn() {
      const wanted = { kernel: "", rows: 40 };
      for (const origin of [...EXAMPLES.map((shape) => ({ shape })), { model }]) {
        await using compiler = await KernelCompiler.open(family, { ...wanted, ...origin });
        const kernels = await compiler.compile();
        assert.ok(kernels.length > 0);
        for (const { passes } of kernels) {
          for (const { name, machine } of passes) {
            assert.ok(machine, name);
            const { vgprs, lanes, codeBytes, code, occupancy: { subgroups, most, limit } } = machine;
            assert.ok(vgprs > 0 && [32, 64].includes(lanes) && codeBytes > 0, name);
            assert.match(code, /s_endpgm/);
            assert.ok(subgroups >= 1 && subgroups <= most, `${name}: ${subgroups} of ${most}`);
            assert.notEqual(limit, "unknown", `${name}: ${JSON.stringify({ ...machine, code: "" })}`);
            assert.equal(limit === "hardware", subgroups === most);
          }
        }
      }
    },
  });
}

Deno.test({
  name: "a compiler takes new texts, tells of those that do not compile, and goes on",
  ignore: missingNullGpu !== undefined,
  async fn() {
    const path = "shaders/norm/softmax.wgsl";
    const { text } = SHADER_FILES.get(path)!;
    await using compiler = await KernelCompiler.open("navi31", {
      kernel: "softmax",
      shape: "64x256",
      dtype: "f16",
      rows: 1,
    });
    const machineOf = async (text: string) =>
      (await compiler.compile(new Map([[path, text]])))[0]!.passes[0]!.machine!;
    const before = await machineOf(text);
    const longer = await machineOf(text.replaceAll("exp(", "sin("));
    assert.notEqual(longer.code, before.code);
    await assert.rejects(machineOf(text.replaceAll("exp(", "nothing(")), {
      message: /^Cannot compile shaders\/norm\/softmax\.wgsl:\d+:\d+: /,
    });
    await assert.rejects(machineOf(text.replace("struct Params {", "struct Params {\n  more: u32,")), {
      message: /^Cannot replace .*expected struct Params with /,
    });
    assert.deepEqual(await machineOf(text), before);
  },
});

Deno.test({
  name: "kernel.ts --as tells what a GPU that is not here makes of its own kernel",
  ignore: missingNullGpu !== undefined,
  fn: () =>
    inFolder(async (folder) => {
      const args = ["gemm", "--shape", "512x512x512", "--as", "navi31"];
      const { code, stdout, stderr } = await runScript(folder, "kernel.ts", ...args, "--code", "a.s");
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^gemm 1×1×512×512 from f16, f16 to f16; /);
      assert.match(stdout, /\ngemm_matrix_\w+\n/);
      assert.match(stdout, /\n {2}on navi31 +radv: Mesa .*, 32 lanes a subgroup\n {2}registers +\d+ VGPRs/);
      assert.match(stdout, /\n {2}occupancy +\d+ of 16 subgroups a SIMD, (limited by|as many)/);
      assert.match(stdout, /\n {2}hottest loop +\d+ matrix, .*multiply-adds are \d+ % of issue cycles/);
      assert.match(
        await Deno.readTextFile(join(folder, "a.s")),
        /^; gemm_matrix.*\nBB0:\n[^]*v_wmma_[^]*s_endpgm/,
      );
      const unknown = await runScript(folder, "kernel.ts", "nothing", ...args.slice(1));
      assert.match(unknown.stderr, /^Cannot work on nothing: expected [^\n]*\n$/);
    }),
});
