/**
 * Measures which kernels are the fastest on this adapter, at the sizes that a model has, and keeps it for all later runs.
 * Weights are not read.
 * Run: deno task tune stable-diffusion-v1-5/stable-diffusion-v1-5 --size 512x512
 */
import "./plain_errors.ts";
import { openDevice } from "denoise";
import type { TuningsData } from "../src/gpu/tunings.ts";
import { parseTunings, shown, tuningsPath, writeTunings } from "../src/gpu/tunings_file.ts";
import { expectWritable } from "../src/io/whole_file.ts";
import { readArguments } from "./command_line/arguments.ts";
import * as option from "./command_line/options.ts";
import { measureModels } from "./tune/measure.ts";
import { describeOutcomes } from "./tune/table.ts";

const options = readArguments(
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
if (options.export !== undefined) expectWritable(options.export, `take --export ${options.export}`);

using device = await openDevice({ engine: options.engine, adapter: options.adapter, tune: "cached" });
const { tunings } = device;
const path = tuningsPath(tunings.adapter);

const given = options.import === undefined ? undefined : await readGiven(options.import);
if (options.again) {
  tunings.clear();
  await Deno.remove(path).catch(() => {}); // it may never have come to be
}
if (given) console.log(writeTunings(tunings.merge(given)));
if (options.export !== undefined) {
  await Deno.writeTextFile(options.export, `${JSON.stringify(tunings.data, null, 2)}\n`);
  console.log(options.export);
}
if (!given && options.export === undefined) {
  console.error(device.describe());
  const outcomes = await measureModels(device, options);
  console.log(describeOutcomes(outcomes, device));
  console.log(path);
}

/** A file of tunings for such an adapter and driver. */
async function readGiven(file: string): Promise<TuningsData> {
  const data = parseTunings(await Deno.readTextFile(file), file);
  if (shown(data.adapter) === shown(tunings.adapter)) return data;
  throw new Error(
    `Cannot take --import ${file}: expected tunings of ${shown(tunings.adapter)}, got those of ` +
      `${shown(data.adapter)}; measure by \`deno task tune\``,
  );
}
