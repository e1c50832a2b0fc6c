import { type Profile, profileForm, type ProfileRow } from "../../scripts/profile/form.ts";

/** A row that is told by a few of its facts; its time follows from the dispatches of `madeProfile`. */
export type RowFacts = Partial<ProfileRow> & Pick<ProfileRow, "kernel" | "path">;

/** A dispatch: number of its row, its step or run, start and length in ms. */
export type DispatchFacts = readonly [row: number, occurrence: string, start: number, ms: number];

/** A profile of some dispatches at peaks of 100 GFLOP/s and 10 GB/s, in a form that `--json` might have written. */
export function madeProfile(rows: readonly RowFacts[], dispatches: readonly DispatchFacts[]): Profile {
  const peaks = { f32: 100, memory: 10 };
  const allMs = dispatches.reduce((sum, [, , , ms]) => sum + ms, 0);
  const spread = { median: allMs, low: allMs, high: allMs };
  const kernels = rows.map(({ kernel }): Profile["kernels"][number] => ({
    name: kernel,
    parts: [
      { name: `directives of ${kernel}`, text: "enable f16;", reason: "written", set: [] },
      {
        name: `shaders/${kernel}.wgsl`,
        text:
          "const WG: u32 = 64;\nconst OTHER: u32 = 1;\n@compute @workgroup_size(WG)\nfn main() {} // ends\n",
        reason: "listed",
        set: ["WG"],
      },
    ],
    bindings: [{ binding: 0, name: "x", use: "read", type: "array<f32>" }],
    workgroup: [64, 1, 1],
  }));
  return profileForm.parse({
    format: "denoise-profile",
    version: profileForm.shape.version.value,
    denoise: "0.0.0",
    adapter: { name: "an adapter", engine: "dawn", text: "an adapter that is not there" },
    subject: {
      model: "a model",
      className: "Model",
      work: "forward",
      dtype: "f32",
      steps: 1,
      runs: 1,
      pipeline: false,
    },
    peaks,
    pipelines: { count: rows.length, compileMs: 1, warmUpMs: 2 },
    step: spread,
    runMs: { plain: spread, passes: spread, dispatches: spread },
    gpuMs: { passes: spread, dispatches: spread },
    gapMs: 0,
    hostMs: { record: 0, fuse: 0, prepare: 0, encode: 1, submit: 0, wait: allMs - 1 },
    rows: rows.map((facts, i): ProfileRow => {
      const own = dispatches.filter(([row]) => row === i).map(([, , , ms]) => ms);
      const totalMs = own.reduce((a, b) => a + b, 0);
      const { flops = 1e6, bytes = 1e5 } = facts;
      const rate = (amount: number) => totalMs && own.length * amount / totalMs / 1e6;
      const roof = flops / peaks.f32 > bytes / peaks.memory ? "f32" : "memory";
      return {
        model: "Model",
        mark: "step",
        shape: [1, 1, 2, 3],
        dtype: "f32",
        inputs: [],
        fused: "",
        text: i,
        workgroups: [1, 1],
        flops,
        bytes,
        calls: own.length,
        ms: { median: totalMs, low: totalMs, high: totalMs },
        count: own.length,
        totalMs,
        share: totalMs / allMs,
        gflops: rate(flops),
        gbytes: rate(bytes),
        roof,
        ofPeak: rate(roof === "f32" ? flops : bytes) / peaks[roof],
        ...facts,
      };
    }),
    kernels,
    dispatches: dispatches.map((dispatch) => [...dispatch, 0]),
    host: [["encode", "0.1", 0, 1], ["wait", "0.1", 1, Math.max(0, allMs - 1)]],
    stretches: [],
    clockSlackMs: 0,
    again: [],
    memory: {
      peak: 1e6,
      device: [],
      plans: [{
        label: "Model",
        arenas: [100, 60],
        modules: [
          { path: "down.0.conv", weights: 10, peak: 70 },
          { path: "down.0.norm", weights: 5, peak: 130 },
          { path: "up", weights: 1, peak: 90 },
        ],
        values: [
          { kernel: "a", path: "down.0.conv", arena: 0, offset: 20, bytes: 70, first: 0, last: 1 },
          { kernel: "b", path: "down.0.norm", arena: 1, offset: 0, bytes: 60, first: 1, last: 2 },
          { kernel: "a", path: "up", arena: 0, offset: 0, bytes: 30, first: 2, last: 3 },
        ],
      }],
    },
  });
}
