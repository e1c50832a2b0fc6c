import assert from "node:assert/strict";
import { budgetsOf, compare, formatBudgets, readBudgets } from "../../bench/compiled/budgets.ts";
import { type Compilation, type Compiled, COMPILED_FOR, compileFor } from "../../bench/compiled/compile.ts";
import { missingNullGpu } from "../support/null_gpu.ts";

for (const family of COMPILED_FOR) {
  Deno.test({
    name:
      `all kernels of SD 1.5, SDXL, FLUX.1 and Z-Image compile for a ${family} without spills, within their budgets`,
    ignore: missingNullGpu !== undefined,
    async fn() {
      const compilation = await compileFor(family);
      const { failures, notes } = compare(compilation, await readBudgets());
      for (const note of notes) console.log(note);
      assert.deepEqual(failures, [], "`deno task compiled --write` writes down what is meant to be so");
      assert.ok(
        compilation.pipelines.length > 50,
        `only ${compilation.pipelines.length} pipelines were compiled`,
      );
    },
  });
}

Deno.test({
  name: "a candidate that is asked for by name is compiled wherever it is right, and told of alone",
  ignore: missingNullGpu !== undefined,
  async fn() {
    const { pipelines } = await compileFor("navi31", "gemm_tiled_32"); // matrix units are the better guess
    assert.ok(pipelines.length > 2, `only ${pipelines.length} pipelines were compiled`);
    for (const { kernel } of pipelines) assert.match(kernel, /^gemm_tiled_32/);
  },
});

/** A compilation of one kernel. */
function compiled(statistics: Record<string, number> = {}, kernel = "gemm_tiled"): Compilation {
  const pipeline: Compiled = {
    kernel,
    variant: "x_vec4",
    uses: {},
    statistics: {
      "Spilled VGPRs": 0,
      "Spilled SGPRs": 0,
      "Scratch size": 0,
      "Subgroups per SIMD": 16,
      "LDS size": 8192,
      "VGPRs": 96,
      ...statistics,
    },
  };
  return { family: "navi31", driver: "Mesa 25", pipelines: [pipeline] };
}

const written = budgetsOf([compiled()]);

Deno.test("compare() fails for spills, scratch memory, fewer subgroups, more workgroup memory and new kernels", () => {
  assert.deepEqual(compare(compiled(), written), { failures: [], notes: [] });
  const failures = (statistics: Record<string, number>, kernel?: string) =>
    compare(compiled(statistics, kernel), written).failures;
  assert.deepEqual(failures({ "Spilled VGPRs": 3 }), [
    "navi31 gemm_tiled x_vec4: Spilled VGPRs 3, expected 0",
  ]);
  assert.deepEqual(failures({ "Scratch size": 16 }), [
    "navi31 gemm_tiled x_vec4: Scratch size 16, expected 0",
  ]);
  assert.deepEqual(failures({ "Subgroups per SIMD": 8, "VGPRs": 144 }), [
    "navi31 gemm_tiled x_vec4: 16 → 8 subgroups, 96 → 144 vgprs",
  ]);
  assert.deepEqual(failures({ "LDS size": 8196 }), ["navi31 gemm_tiled x_vec4: 8192 → 8196 lds"]);
  assert.deepEqual(failures({}, "gemm_new"), [
    "navi31 gemm_new x_vec4: new, 16 subgroups, 8192 lds, 96 vgprs",
  ]);
});

Deno.test("compare() tells what takes less, what is gone, and of another driver all but spills", () => {
  const better = compare(compiled({ "Subgroups per SIMD": 20, "LDS size": 4096 }), written);
  assert.deepEqual(better, {
    failures: [],
    notes: ["navi31 gemm_tiled x_vec4: 16 → 20 subgroups, 8192 → 4096 lds"],
  });
  assert.deepEqual(compare(compiled({}, "gemm_new"), written).notes, [
    "navi31 gemm_tiled x_vec4: no longer there",
  ]);
  const other = compare(
    { ...compiled({ "LDS size": 9000, "Spilled VGPRs": 1 }), driver: "Mesa 26" },
    written,
  );
  assert.deepEqual(other.failures, ["navi31 gemm_tiled x_vec4: Spilled VGPRs 1, expected 0"]);
  assert.equal(other.notes.length, 2);
});

Deno.test("budgetsOf() takes the worst of a kernel's pipelines, and formatBudgets() writes what JSON reads", () => {
  const [a] = compiled({ "Subgroups per SIMD": 8, "LDS size": 1024 }).pipelines;
  const all = { ...compiled(), pipelines: [...compiled().pipelines, a!] };
  const budgets = budgetsOf([all, { ...compiled(), family: "vega10" }]);
  assert.deepEqual(budgets.kernels["gemm_tiled x_vec4"], {
    navi31: { subgroups: 8, lds: 8192, vgprs: 96 },
    vega10: { subgroups: 16, lds: 8192, vgprs: 96 },
  });
  assert.deepEqual(JSON.parse(formatBudgets(budgets)), budgets);
});
