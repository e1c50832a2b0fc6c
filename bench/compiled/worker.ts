/**
 * Traces the models of `models.ts` on the device at hand, a null GPU, compiles each of their pipelines, one after the other,
 * and prints what the driver's compiler made of it, a line of JSON each behind one that tells the driver.
 * Run above a null GPU by `compile.ts`, with part of the names of candidates to take wherever they are right, if any.
 */
import { basename, join } from "node:path";
import { openDevice } from "denoise";
import type { Pipeline, PipelineSpec } from "../../src/gpu/shader/pipelines.ts";
import type { Plan } from "../../src/graph/run/plan.ts";
import { streamOf } from "../../src/graph/run/stream.ts";
import type { Compiled } from "./compile.ts";
import { hotLoop } from "../../scripts/null_gpu/hot_loop.ts";
import { PIPELINES, traceModel } from "./models.ts";

const [stats, folder] = [Deno.env.get("NULL_GPU_STATS")!, Deno.env.get("NULL_GPU_CODE")!];
/** Snippets that do not tell variants apart. */
const COMMON = [
  "activations",
  "conv_params",
  "element_main",
  "functions",
  "grid",
  "matrix_main",
  "matrix_main_sized",
  "matrix_units",
  "params",
  "workgroup_main",
];

using device = await openDevice({ engine: "dawn", tune: "off", candidate: Deno.args[0] });
print({ driver: device.adapter.description });

const compile = device.pipelines.get.bind(device.pipelines);
device.pipelines.get = (spec) => ({ label: spec.label, ready: Promise.resolve() }) as Pipeline; // for now
const plans: Plan[] = [];
const stream = streamOf(device);
const trace = stream.trace.bind(stream);
stream.trace = (...call) => {
  const plan = trace(...call);
  plans.push(plan);
  return plan;
};

const specs = new Map<
  string,
  { spec: PipelineSpec; uses: Record<string, { dispatches: number; flops: number }> }
>();
for (const [pipeline, parts] of Object.entries(PIPELINES)) {
  for (const part of parts()) {
    using _model = await traceModel(part);
    for (const [i, { steps }] of plans.splice(0).entries()) {
      const work = [pipeline, part.name, part.works?.[i]].filter(Boolean).join(" ");
      for (const { pipeline: spec, details } of steps) {
        const known = specs.get(spec.key) ?? { spec, uses: {} };
        specs.set(spec.key, known);
        const use = known.uses[work] ??= { dispatches: 0, flops: 0 };
        use.dispatches++;
        use.flops += details().flops;
      }
    }
  }
}

let told = 0;
for (const { spec, uses } of specs.values()) {
  await compile(spec).ready;
  const lines = (await Deno.readTextFile(stats)).trim().split("\n");
  for (; told < lines.length; told++) { // none where Dawn has compiled an equal one
    const statistics = JSON.parse(lines[told]!);
    const code = await Deno.readTextFile(join(folder, `${String(told).padStart(3, "0")}.txt`));
    const pipeline = { kernel: spec.label, variant: variantOf(spec), uses, statistics, loop: hotLoop(code) };
    print(pipeline satisfies Compiled);
  }
}

function variantOf(spec: PipelineSpec): string {
  const [family] = spec.label.split("_");
  return spec.source().map(({ name }) => name).filter((name) => /\/(lib|operands)\/\w+\.wgsl$/.test(name))
    .map((name) => basename(name, ".wgsl").replace(new RegExp(`^${family}_`), ""))
    .filter((name) => !COMMON.includes(name)).join(" ");
}

function print(line: object): void {
  console.log(JSON.stringify(line));
}
