import assert from "node:assert/strict";
import { join } from "node:path";
import { page } from "../../scripts/doctor/page.ts";
import type { Report } from "../../scripts/doctor/report.ts";
import { inFolder, runScriptWith } from "../support/script.ts";

for (const engine of ["dawn", "deno"]) {
  Deno.test(`doctor.ts --quick examines the adapter and every candidate, and keeps it as JSON (${engine})`, () =>
    inFolder(async (folder) => {
      const { code, stdout, stderr } = await runScriptWith(
        { DENOISE_TUNINGS: join(folder, "tunings") },
        folder,
        "doctor.ts",
        ...["--quick", "--engine", engine, "--json", "doctor.json"],
      );
      assert.equal(code, 0, stderr);
      const report: Report = JSON.parse(await Deno.readTextFile(join(folder, "doctor.json")));
      assert.deepEqual([report.format, report.version, report.failures], ["denoise doctor", 1, []]);
      assert.equal(report.adapter!.adapter.engine, engine);
      assert.ok(report.adapter!.limits["maxBufferSize"]! > 0);
      assert.ok(report.speeds!.f32 > 0 && report.speeds!.copy > 0);
      assert.ok(report.kernels.length >= 5);
      for (const { name, chosen, candidates, absent } of report.kernels) {
        assert.ok(candidates.some(({ id }) => id === chosen), `${name}: ${chosen}`);
        assert.ok(candidates.every(({ right, ms }) => right && ms! > 0), name);
        const { matrices, f16 } = report.adapter!.traits;
        const lacked = absent.map(({ needs }) => needs).join();
        assert.ok(
          !(matrices.length && /matrix units/.test(lacked)) && !(f16 && /shader-f16/.test(lacked)),
          lacked,
        );
        assert.ok(absent.every(({ name }) => !candidates.some(({ id }) => id.startsWith(`${name} `))), name);
      }
      assert.match(stdout, /\nPeaks: f32 /);
      assert.match(stdout, /\n {2}gemm_tiled.* right .*/);
      assert.match(stdout, /\nTuning: nothing measured before/);
    }));
}

Deno.test("the doctor's page says what failed, what is wrong and what is absent, whatever else is missing", () => {
  const report: Report = {
    format: "denoise doctor",
    version: 1,
    date: "",
    kernels: [{
      name: "product",
      shape: "",
      flops: 2e9,
      bytes: 1,
      chosen: "a",
      candidates: [{ id: "a", right: true, ms: 2, tflops: 1 }, { id: "b", right: false, why: "it computes" }],
      absent: ["c", "c_split2"].map((name) => ({ name, needs: "matrix units" })),
    }],
    steps: [{ name: "SD step", ms: 1234.5, hostMs: 0.012, dispatches: 7, compileMs: 500, kernels: [] }],
    failures: ["peaks", "kernels"].map((part) => ({ part, error: "no memory" })),
    seconds: 3,
  };
  const text = page(report);
  for (
    const line of [
      / a +right +2.00 +1.00 +– +– +– +chosen/,
      / b +WRONG .*it computes/,
      / others +absent +c: needs matrix units/,
      /SD step: 1235 ms; 0.0120 on the host, – on the GPU; 7 dispatches; 0.5 s to compile/,
    ]
  ) {
    assert.match(text, line);
  }
  assert.match(text, /\n\nFAILED peaks, kernels: no memory\n\nTook 3 s$/);
});
