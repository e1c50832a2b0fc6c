/**
 * Compares what a model computes, module by module, with what another engine did: torch by
 * docs/record_features.py. `--help` lists the options.
 * Run: deno task diff models/emoji-diffusion --against features.safetensors
 */
import "./plain_errors.ts";
import { openDevice } from "denoise";
import { expectWritable, writeWholeFile } from "../src/io/files/whole_file.ts";
import { readArguments } from "./command_line/arguments.ts";
import * as option from "./command_line/options.ts";
import { recordedCall } from "./diff/calls.ts";
import { diffModel } from "./diff/diff.ts";
import { RecordedInputs } from "./diff/inputs.ts";
import { openRecording } from "./diff/recording.ts";
import { describeDiff } from "./diff/text.ts";
import { openOneModel } from "./inspect/find_model.ts";

const { model: target, against, part, json, only, tolerance, engine, ...source } = readArguments(
  "scripts/diff.ts <model> --against FILE",
  "Compares what a model computes, module by module, with features that another engine recorded.",
  {
    model: option.model("a model or a pipeline: a folder, a repository or one file"),
    against: option.file("features that docs/record_features.py wrote"),
    part: option.text("of a pipeline, e.g. vae; default: the one of the recorded class"),
    dtype: option.choice("of weights and activations; default: f16 on a GPU that computes in it", [
      "f32",
      "f16",
    ]),
    engine: option.choice("of WebGPU", ["auto", "dawn", "deno"], "auto"),
    tolerance: option.number("largest error of a feature, of its largest value; default: by the types", {
      over: 0,
    }),
    only: option.text("the modules whose path begins so"),
    json: option.output("all numbers", /\.json$/, "diff.json"),
    base: option.model("for one file: what it lacks"),
    config: option.model("for one file: whose configs it has"),
    variant: option.text("of the weights of a folder or repository, e.g. fp16"),
  },
);
if (target === undefined || against === undefined) {
  throw new TypeError(
    "Cannot compare: expected a model and --against FILE; docs/record_features.py writes one",
  );
}
if (json !== undefined) expectWritable(json, `take --json ${json}`);

using recording = await openRecording(against);
const { class: className, call } = recording.facts;
using device = await openDevice({ engine });
using model = await openOneModel("compare", target, { part, className }, source);
if (model.constructor.name !== className) {
  throw new TypeError(
    `Cannot compare ${target} with ${against}: expected features of ${model.constructor.name}, got those of ${className}`,
  );
}
const inputs = new RecordedInputs(await recording.inputs(), `${className}.${call} of ${against}`);
const diff = await diffModel(model, recording, recordedCall(model, call, inputs), { only, tolerance });

console.log(`${device.describe()}\n${describeDiff(diff, { model: target, dtype: model.dtype, against })}`);
if (json !== undefined) {
  await writeWholeFile(json, JSON.stringify({ format: "denoise-diff", version: 1, ...diff }));
  console.log(`\n${json}: all numbers`);
}
if (diff.first) Deno.exitCode = 1;
