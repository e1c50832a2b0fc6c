/**
 * Watches shaders: on each save compiles what has them, and tells how a kernel's results and times changed at
 * the shapes that a model has, on seeded values or on those that the model gives it. With --step the model's
 * whole step is compared, too, with --as what an AMD GPU's compiler makes of the kernel.
 * Run: deno task workbench norm/softmax
 */
import "./plain_errors.ts";
import { join } from "node:path";
import { DeviceLostError, openDevice } from "denoise";
import { byFile } from "../src/gpu/shader/replace_shader.ts";
import { shadersIn } from "../src/gpu/shader/shaders_folder.ts";
import { expectWritable } from "../src/io/files/whole_file.ts";
import { readArguments } from "./command_line/arguments.ts";
import * as option from "./command_line/options.ts";
import { KernelCompiler } from "./kernel/compiler.ts";
import {
  expectName,
  expectOneOrigin,
  type Origin,
  problemsOf,
  UnknownKernel,
  type Work,
  worksOf,
} from "./kernel/works.ts";
import { FAMILIES, isOnNullGpu } from "./null_gpu/layer.ts";
import { InputsFile, writeInputs } from "./workbench/inputs_file.ts";
import { LoadedModel } from "./workbench/loaded_model.ts";
import { describeMachines } from "./workbench/machines.ts";
import { describeChange } from "./workbench/report.ts";
import { savesIn } from "./workbench/saves.ts";
import { flopsLimit, Workbench } from "./workbench/workbench.ts";

const options = readArguments(
  "scripts/workbench.ts <kernel>",
  "Watches shaders, and tells how each save changes a kernel's results and times at a model's shapes.",
  {
    kernel: option.text("a file of shaders/, e.g. norm/softmax, or part of a kernel's name, e.g. gemm_tiled"),
    model: option.model("whose shapes are taken; default: the embedded UNets'"),
    part: option.text(
      "of a pipeline the one model that counts, e.g. vae; default: all, with --inputs or --step its UNet or transformer",
    ),
    shape: option.text("instead of a model's, e.g. 64x77 for rows and columns, 64x320x320 for a product"),
    size: option.size("of the pictures; default: what the model was trained for"),
    dtype: option.choice("of weights; default: f16 on a GPU that computes in it", ["f32", "f16"]),
    quantize: option.choice("stores the model's matrices in fewer bits", ["int8", "int4"]),
    shaders: option.file("a folder of yours that stands in front of shaders/; default: shaders/ itself"),
    rows: option.count("shapes at most, those with the most work", 4),
    inputs: option.text(
      "seeded: numbers that follow from a seed; recorded: those that the loaded --model gives its kernels; or a file of --record",
      "seeded",
    ),
    record: option.output(
      "those that the loaded --model gives its kernels, for --inputs",
      /\.safetensors$/,
      "inputs.safetensors",
    ),
    step: option.flag("times the loaded --model's whole step before and after each save, and compares it"),
    as: option.choice("an AMD GPU that is not here: tells what its compiler makes of its kernel", FAMILIES),
    engine: option.choice("of WebGPU", ["auto", "dawn", "deno"], "auto"),
    adapter: option.text("part of the name of the adapter, where there are several"),
  },
);
const { kernel, shaders, rows, inputs, record, step, as } = options;
const { model, part, shape, size, dtype, quantize } = options;
const origin: Origin = { model, part, shape, size, dtype, quantize };
expectOneOrigin(origin);
expectName(kernel);
const needsModel = step ? "step" : record ? "record" : inputs === "recorded" ? "inputs recorded" : undefined;
if (needsModel && model === undefined) {
  throw new TypeError(`Cannot take --${needsModel} without --model: expected a model to load`);
}
if (record !== undefined) {
  if (inputs !== "seeded" && inputs !== "recorded") {
    throw new TypeError(
      `Cannot take --record with --inputs ${inputs}: it has what was recorded; leave one out`,
    );
  }
  expectWritable(record, `take --record ${record}`);
}
if (isOnNullGpu()) {
  throw new Error("Cannot work on a null GPU, as it computes nothing: leave as-gpu out, and take --as");
}
const folder = shaders ?? join(import.meta.dirname!, "../shaders");
let tried: ReadonlyMap<string, string> = await shadersIn(folder); // tells at once where there is none

await using compiler = as &&
  await KernelCompiler.open(as, { ...origin, kernel: kernel!, rows });
let compiled = await compiler?.compile();
using device = await openDevice({ engine: options.engine, adapter: options.adapter });
console.log(device.describe());
using file = inputs === "seeded" || inputs === "recorded" ? undefined : await InputsFile.open(device, inputs);
using loaded = needsModel ? await LoadedModel.open(device, model!, origin) : undefined;
const works = await findWorks();
const recorded = ({ problem }: Work) => loaded!.inputsOf(problem);
if (record !== undefined) {
  await writeInputs(device, record, works, recorded);
  console.log(`${record}: the values that the kernels get, for --inputs`);
}
using workbench = works.length || loaded
  ? await Workbench.open(device, works, {
    model: step ? loaded : undefined,
    inputsOf: record ?? (inputs === "recorded" || undefined)
      ? recorded
      : file && ((work) => file.inputsOf(work)),
  })
  : undefined;
if (workbench) console.log(`it is made of\n  ${workbench.files.join(" ")}`);
if (compiled) console.log(describeMachines(compiled));

await apply();
console.log(`watching ${folder}; Ctrl+C ends`);
for await (tried of savesIn(folder, tried, stays)) await apply();

/** The kernels to work on, and a line about them; none where only the GPU of --as has such. */
async function findWorks(): Promise<Work[]> {
  try {
    const problems = loaded?.problems ?? await problemsOf(device, origin);
    const { works, others } = worksOf(device, problems, kernel!, { most: rows, flops: flopsLimit(device) });
    const shapes = `${works.length} ${works.length === 1 ? "shape" : "shapes"}`;
    console.log(`${kernel} at ${shapes}${others ? `, ${others} more left out` : ""}`);
    return works;
  } catch (error) {
    if (!(error instanceof UnknownKernel && as)) throw error;
    console.log(`${kernel} is of no use on this adapter: it is compiled as ${as} has it, and does not run`);
    return [];
  }
}

/** Puts the folder's texts in front of ours, and tells of it. */
async function apply(): Promise<void> {
  const texts = replacing(tried);
  try {
    const change = await workbench?.change(texts);
    if (change) console.log(`\n${describeChange(change)}`);
    const now = await compiler?.compile(texts);
    const machines = now && describeMachines(now, compiled);
    if (machines !== undefined) console.log(`\n${machines}`);
    else if (now && change) console.log(`as ${as}: the same code`);
    if (change?.stands ?? true) compiled = now;
  } catch (error) {
    if (error instanceof DeviceLostError) throw error;
    stays(inFolder((error as Error).message));
  }
}

/** Tells why a version is not taken. */
function stays(message: string): void {
  console.log(`\n${message}\nthe version before stays`);
}

/** The texts that can stand in front of ours; of others, such as a file of another name, a line tells. */
function replacing(texts: ReadonlyMap<string, string>): Map<string, string> {
  return new Map([...texts].filter((file) => {
    try {
      return byFile(new Map([file])).size > 0;
    } catch (error) {
      console.log(`\n${inFolder((error as Error).message)}\nthe folder's other files go on without it`);
      return false;
    }
  }));
}

/** A message with the paths of the folder's own files. */
function inFolder(message: string): string {
  return [...tried.keys()].reduce(
    (text, path) => text.replaceAll(path, join(folder, path.slice("shaders/".length))),
    message,
  );
}
