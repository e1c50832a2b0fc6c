/**
 * Watches shaders: on each save compiles what has them, and tells how a kernel's results and times changed at the shapes that
 * a model has. Weights are not read; inputs are seeded numbers.
 * Run: deno task workbench norm/softmax
 */
import "./plain_errors.ts";
import { join } from "node:path";
import { DeviceLostError, openDevice } from "denoise";
import { shadersIn } from "../src/gpu/shader/shaders_folder.ts";
import { readArguments } from "./command_line/arguments.ts";
import * as option from "./command_line/options.ts";
import { problemsOf, worksOf } from "./kernel/works.ts";
import { describeChange } from "./workbench/report.ts";
import { flopsLimit, Workbench } from "./workbench/workbench.ts";

const options = readArguments(
  "scripts/workbench.ts <kernel>",
  "Watches shaders, and tells how each save changes a kernel's results and times at a model's shapes.",
  {
    kernel: option.text("a file of shaders/, e.g. norm/softmax, or part of a kernel's name, e.g. gemm_tiled"),
    model: option.model("whose shapes are taken; default: the embedded UNets'"),
    shape: option.text("instead of a model's, e.g. 64x77 for rows and columns, 64x320x320 for a product"),
    size: option.size("of the pictures; default: what the model was trained for"),
    dtype: option.choice("of weights; default: f16 on a GPU that computes in it", ["f32", "f16"]),
    shaders: option.file("a folder of yours that stands in front of shaders/; default: shaders/ itself"),
    rows: option.count("shapes at most, those with the most work", 4),
    engine: option.choice("of WebGPU", ["auto", "dawn", "deno"], "auto"),
    adapter: option.text("part of the name of the adapter, where there are several"),
  },
);
const { shaders, engine, adapter } = options;
const folder = shaders ?? join(import.meta.dirname!, "../shaders");
let tried = await shadersIn(folder); // tells at once where there is none

using device = await openDevice({ engine, adapter });
console.log(device.describe());
const { works, others } = worksOf(device, await problemsOf(device, options), options.kernel!, {
  most: options.rows,
  flops: flopsLimit(device),
});
using workbench = await Workbench.open(device, works);
const shapes = `${works.length} ${works.length === 1 ? "shape" : "shapes"}`;
console.log(`${options.kernel} at ${shapes}${others ? `, ${others} more left out` : ""}; it is made of`);
console.log(`  ${workbench.files.join(" ")}`);
console.log(
  `registers and occupancy: unknown here; \`deno task compiled --candidate ${
    works[0]!.candidate.name
  }\` tells them for AMD's`,
);

await apply();
using watcher = Deno.watchFs(folder);
console.log(`watching ${folder}; Ctrl+C ends`);
for await (const { kind } of watcher) {
  if (kind === "access") continue; // such as ours
  await new Promise((resolve) => setTimeout(resolve, 30)); // a save is several events
  const texts = await shadersIn(folder).catch(() => tried); // in the middle of a save
  const same = texts.size === tried.size && [...texts].every(([path, text]) => tried.get(path) === text);
  tried = texts;
  if (!same) await apply();
}

/** Puts the folder's texts in front of ours, and tells of it. */
async function apply(): Promise<void> {
  try {
    const change = await workbench.change(tried);
    if (change) console.log(`\n${describeChange(change)}`);
  } catch (error) {
    if (error instanceof DeviceLostError) throw error;
    console.log(`\n${inFolder((error as Error).message)}\nthe version before stays`);
  }
}

/** A message with the paths of the folder's own files. */
function inFolder(message: string): string {
  return [...tried.keys()].reduce(
    (text, path) => text.replaceAll(path, join(folder, path.slice("shaders/".length))),
    message,
  );
}
