/**
 * Shows a kernel as it runs at a shape: which candidates there are and why one is chosen, what the host set,
 * bindings, params and workgroups; with --dump its whole text, with --as what the compiler of an AMD GPU that
 * is not here makes of it. Without a name it lists all kernels. Nothing runs, and weights are not read.
 * Run: deno task kernel norm/softmax --shape 512x1024 --as navi31
 */
import "./plain_errors.ts";
import { openDevice } from "denoise";
import { SHADER_FILES } from "../src/gpu/shader/snippet.ts";
import { expectWritable, writeWholeFile } from "../src/io/files/whole_file.ts";
import { readArguments } from "./command_line/arguments.ts";
import * as option from "./command_line/options.ts";
import { KernelCompiler } from "./kernel/compiler.ts";
import { describeWork, type KernelDescription } from "./kernel/description.ts";
import { codeOf, describeKernel, describeList, dumpKernel } from "./kernel/text.ts";
import { EXAMPLES } from "./kernel/shapes.ts";
import { expectName, type Origin, problemsOf, worksOf } from "./kernel/works.ts";
import { FAMILIES } from "./null_gpu/layer.ts";

const options = readArguments(
  "scripts/kernel.ts [kernel]",
  "Shows a kernel as it runs at a shape, or lists all kernels; nothing runs.",
  {
    kernel: option.text(
      "an operator, e.g. gemm, part of a kernel's name, or a file of shaders/, e.g. norm/softmax",
    ),
    model: option.model("whose shapes are taken; default: the embedded UNets'"),
    part: option.text("of a pipeline the one model that counts, e.g. vae; default: all"),
    shape: option.text("instead of a model's, e.g. 64x77 for rows and columns, 64x320x320 for a product"),
    size: option.size("of the pictures; default: what the model was trained for"),
    dtype: option.choice("of weights and values; default: f16 on a GPU that computes in it", ["f32", "f16"]),
    quantize: option.choice("as if the model's matrices were stored in fewer bits", ["int8", "int4"]),
    rows: option.count("shapes at most, those with the most work", 1),
    dump: option.flag("prints the text as compiled, below comments that say the rest"),
    as: option.choice("an AMD GPU that is not here: its kernel, and what its compiler makes of it", FAMILIES),
    code: option.output("with --as: the machine code", /./, "kernel.s"),
    json: option.output("all of it", /\.json$/, "kernel.json"),
    engine: option.choice("of WebGPU", ["auto", "dawn", "deno"], "auto"),
    adapter: option.text("part of the name of the adapter, where there are several"),
  },
);
const { kernel, model, part, shape, size, dtype, quantize, rows, as, engine, adapter, code, json } = options;
for (const name of ["code", "json"] as const) {
  if (options[name] !== undefined) expectWritable(options[name], `take --${name} ${options[name]}`);
}
if (code !== undefined && as === undefined) {
  throw new TypeError(`Cannot take --code without --as: expected one of ${FAMILIES.join(", ")} beside it`);
}
if (as !== undefined && (engine !== "auto" || adapter !== undefined)) {
  throw new TypeError(
    "Cannot take --engine or --adapter with --as: that GPU is opened by Dawn; leave them out",
  );
}
expectName(kernel);
if (kernel === undefined && (as ?? json ?? (options.dump || undefined)) !== undefined) {
  throw new TypeError("Cannot list kernels with --as, --dump or --json: they show one; name it, e.g. gemm");
}

const origin: Origin = { model, part, shape, size, dtype, quantize };
if (kernel === undefined) await list();
else await show(as === undefined ? await here(kernel) : await there(kernel));

async function show(kernels: readonly KernelDescription[]): Promise<void> {
  console.log(kernels.map(options.dump ? dumpKernel : describeKernel).join("\n\n"));
  if (code !== undefined) await writeWholeFile(code, kernels.map(codeOf).join("\n"));
  if (json !== undefined) await writeWholeFile(json, JSON.stringify(kernels));
}

/** Kernels of the adapter at hand. */
async function here(name: string): Promise<KernelDescription[]> {
  using device = await openDevice({ engine, adapter });
  if (!options.dump) console.log(device.describe());
  const { works, others } = worksOf(device, await problemsOf(device, origin), name, { most: rows });
  if (others && !options.dump) console.log(`${others} more shapes; --rows shows them`);
  return works.map((work) => describeWork(device, work));
}

/** Kernels of a GPU that is not here. */
async function there(name: string): Promise<readonly KernelDescription[]> {
  await using compiler = await KernelCompiler.open(as!, { ...origin, kernel: name, rows });
  return await compiler.compile();
}

/**
 * All kernels: those of a model or at a shape, by default of the embedded models and of operators at some
 * shape.
 */
async function list(): Promise<void> {
  using device = await openDevice({ engine, adapter });
  console.log(device.describe());
  const problems = await problemsOf(device, origin);
  if (model === undefined && shape === undefined) {
    for (const shape of EXAMPLES) problems.push(...await problemsOf(device, { shape, dtype }));
  }
  console.log(describeList(device, problems, [...SHADER_FILES.keys()]));
}
