/**
 * Measures which kernels are the fastest on this adapter, at the sizes that a model has, and keeps it for all later runs.
 * Weights are not read.
 * Run: deno task tune stable-diffusion-v1-5/stable-diffusion-v1-5 --size 512x512
 */
import "./plain_errors.ts";
import { openDevice } from "denoise";
import { describeTuned, sameAdapter, type TuningsData } from "../src/gpu/tunings/tunings.ts";
import { parseTunings, tuningsPath, writeTunings } from "../src/gpu/tunings/tunings_file.ts";
import { unreadable } from "../src/io/files/errors.ts";
import { expectWritable, writeWholeFile } from "../src/io/files/whole_file.ts";
import { readGiven } from "./command_line/arguments.ts";
import * as option from "./command_line/options.ts";
import { measureProblems, problemsOfModels } from "./tune/measure.ts";
import { describeOutcomes } from "./tune/table.ts";

const options = readGiven(
  "scripts/tune.ts [model]",
  "Measures which kernels are the fastest on this adapter, at a model's sizes, and keeps it for later runs.",
  {
    model: option.list(option.model("whose sizes are measured; default: the embedded ones")),
    size: option.size("of the pictures; default: what the model was trained for"),
    batch: option.count("pictures at once", 1),
    dtype: option.choice("of weights; default: f16 on a GPU that computes in it", ["f32", "f16"]),
    quantize: option.choice("as if matrices were stored in fewer bits", ["int8", "int4"]),
    engine: option.choice("of WebGPU", ["auto", "dawn", "deno"], "auto"),
    adapter: option.text("part of the name of the adapter, where there are several"),
    again: option.flag("forgets first what was measured on this adapter"),
    export: option.output(
      "what is known of this adapter, to send to others; nothing is measured",
      /./,
      "tunings.json",
    ),
    import: option.file("such a file of another's, of an equal adapter and driver; nothing is measured"),
  },
);
const { engine, adapter, again, export: exported, import: imported } = options;
const moved = exported !== undefined ? "export" : imported !== undefined ? "import" : undefined;
const measured = ["model", "size", "batch", "dtype", "quantize"].find((name) => name in options);
if (moved && measured) {
  throw new TypeError(
    `Cannot take --${measured} with --${moved}, which measures nothing; leave one of both out`,
  );
}
if (exported !== undefined) expectWritable(exported, `take --export ${exported}`);

using device = await openDevice({ engine, adapter, tune: "cached" });
const { tunings } = device;

if (moved) {
  const data = imported === undefined ? undefined : await readImported(imported);
  if (again) await forget();
  if (data) console.log(writeTunings(tunings.merge(data)));
  if (exported !== undefined) {
    await writeWholeFile(exported, `${JSON.stringify(tunings.data, null, 2)}\n`);
    console.log(exported);
  }
} else {
  console.error(device.describe());
  const problems = await problemsOfModels(device, options); // before anything is forgotten
  if (again) await forget();
  const path = writeTunings(tunings); // tells now, not after minutes of work, where nothing can be kept
  console.log(describeOutcomes(await measureProblems(device, problems), device));
  console.log(path);
}

async function forget(): Promise<void> {
  tunings.clear();
  await Deno.remove(tuningsPath(tunings.adapter)).catch(() => {}); // it may never have come to be
}

/** A file of tunings for such an adapter and driver. */
async function readImported(file: string): Promise<TuningsData> {
  const text = await Deno.readTextFile(file).catch((cause) => {
    throw unreadable(file, cause);
  });
  const data = parseTunings(text, file);
  if (sameAdapter(data.adapter, tunings.adapter)) return data;
  throw new Error(
    `Cannot take --import ${file}: expected tunings of ${describeTuned(tunings.adapter)}, got those of ` +
      `${describeTuned(data.adapter)}; measure by \`deno task tune\``,
  );
}
