/**
 * Measures kernels at the sizes of Stable Diffusion 1.x and DDPM, the steps of the real DDPM and Stable Diffusion 1.5 UNets
 * and the decoder, in turns with torch on the CPU and onnxruntime's WebGPU provider where a Python has them. Compilation
 * starts from an empty driver cache. `sd`, which --quick leaves out unless it is named, writes a file of 3.4 GB for a while,
 * and on a CPU takes 8 GB of memory.
 * Run: deno task bench --quick --only matmul,conv
 */
import "../scripts/plain_errors.ts";
import { openDevice } from "denoise";
import { readArguments } from "../scripts/command_line/arguments.ts";
import * as option from "../scripts/command_line/options.ts";
import { expectWritable } from "../src/io/files/whole_file.ts";
import { casesFor, GROUPS } from "./cases.ts";
import { gpuTime, measureCase, type Row } from "./kernels.ts";
import { measurePeak } from "../scripts/doctor/peak.ts";
import { Peer } from "./peer.ts";
import { format, type Report } from "./report.ts";
import type { StepRow } from "./step.ts";
import { ddpmSteps, stableDiffusionSteps } from "./steps.ts";

const MODELS = { unet: ddpmSteps, sd: stableDiffusionSteps };
const names = [...GROUPS, ...Object.keys(MODELS)];

const options = readArguments(
  "bench/main.ts",
  "Measures kernels and whole steps at real sizes, beside torch and onnxruntime where a Python has them.",
  {
    only: option.some("what to measure", names),
    quick: option.flag("fewer rounds and sizes, and no `sd` unless it is named"),
    python: option.text("with torch or onnxruntime", Deno.env.get("DENOISE_PYTHON") ?? "python3"),
    json: option.output("the figures, as JSON", /./, "bench.json"),
  },
);
const { quick, python } = options;
if (options.json !== undefined) expectWritable(options.json, `take --json ${options.json}`);
const only = new Set(options.only ?? names.filter((name) => !quick || name !== "sd"));

const cache = await Deno.makeTempDir({ prefix: "denoise-bench-" });
for (const name of ["MESA_SHADER_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH"]) Deno.env.set(name, cache);
try {
  const report = await measure();
  console.log(`\n${format(report)}`);
  if (options.json) await Deno.writeTextFile(options.json, `${JSON.stringify(report, null, 2)}\n`);
} finally {
  await Deno.remove(cache, { recursive: true });
}

async function measure(): Promise<Report> {
  using device = await openDevice();
  await using torch = await Peer.start(python, "torch_eager.py");
  await using ort = await Peer.start(python, "ort_webgpu.py");
  console.error(device.describe());
  if (!torch && !ort) console.error(`No peers: ${python} has neither torch nor onnxruntime with WebGPU`);
  const { software } = device.traits;
  const cases = casesFor({ software, quick }).filter(({ group }) => only.has(group));
  const patience = { rounds: quick ? 3 : 5, mostMs: quick ? 3000 : 12000 };

  let peak = await measurePeak(device);
  const kernels: Row[] = [];
  for (const c of cases) {
    console.error(c.name);
    kernels.push(await measureCase(c, device, { torch, ort }, patience));
  }

  peak = Math.max(peak, await measurePeak(device)); // the machine may have been busy the first time

  const steps: StepRow[] = [];
  for (const [name, measureSteps] of Object.entries(MODELS)) {
    if (!only.has(name)) continue;
    for await (const row of measureSteps({ quick, torch, patience: { ...patience, mostMs: 6000 } })) {
      console.error(row.name);
      steps.push(row);
    }
  }

  if (device.gpu.features.has("timestamp-query")) {
    using timed = await openDevice({ engine: device.engine, profile: true });
    for (const [i, c] of cases.entries()) kernels[i]!.gpuMs = await gpuTime(c, timed);
  }
  return {
    date: new Date().toISOString(),
    adapter: device.describe(),
    versions: { deno: Deno.version.deno, torch: torch?.name, onnxruntime: ort?.name },
    peak,
    kernels,
    steps,
  };
}
