/**
 * Runs every case of a set of reference values, laid out as test/fixtures, and says how far each is from its
 * target.
 * Run: deno task conformance test/fixtures --only ops --engine deno
 */
import "./plain_errors.ts";
import { openDevice } from "denoise";
import {
  conform,
  families,
  familiesOf,
  type Precision,
  runIn,
  strangersOf,
  type Verdict,
} from "../test/conformance/mod.ts";
import { readArguments } from "./command_line/arguments.ts";
import * as option from "./command_line/options.ts";
import { expectWritable, writeWholeFile } from "../src/io/files/whole_file.ts";

const { folder: set, only, json, engine, dtype, candidate, check } = readArguments(
  "scripts/conformance.ts <folder>",
  "Runs every case of a folder of numbers made by torch and diffusers, laid out as test/fixtures.",
  {
    folder: option.text("of the numbers"),
    only: option.some("families to run", Object.keys(families)),
    json: option.output("what was found, as JSON", /./, "report.json"),
    engine: option.choice("of WebGPU", ["auto", "dawn", "deno"], "auto"),
    dtype: option.choice("of models and operators", ["f32", "f16"], "f32"),
    candidate: option.text(
      "part of the names of kernels that are taken wherever they are right, e.g. matrix",
    ),
    check: option.choice("of every result: a case with NaN or infinity says where it comes from", ["finite"]),
  },
);
if (json !== undefined) expectWritable(json, `take --json ${json}`);
const chosen = familiesOf(set!).filter((family) => only?.includes(family) ?? true);
if (chosen.length === 0) {
  throw new Error(
    `Cannot run conformance: expected a folder with ${
      (only ?? Object.keys(families)).join(", ")
    }, got ${set}`,
  );
}

using device = await openDevice({ engine, candidate, check, profile: candidate !== undefined });
runIn(dtype as Precision);
console.log(`${device.engine}, ${device.adapterName}, ${dtype}`);
console.log(`${"verdict".padEnd(8)} ${"error".padStart(8)} ${"bound".padStart(8)}  case`);

const results: (Verdict & { family: string })[] = [];
for (const family of [...chosen, ...only ? [] : strangersOf(set!)]) {
  for await (const verdict of conform(set!, family)) {
    results.push({ family, ...verdict });
    console.log(line(family, verdict));
  }
}

const count = (status: Verdict["status"]) => results.filter((result) => result.status === status).length;
const [passed, failed, skipped] = [count("passed"), count("failed"), count("skipped")];
const rows = await device.profiler?.rows() ?? [];
const calls = (name: string) =>
  rows.reduce((sum, row) => row.kernel.includes(name) ? sum + row.calls : sum, 0);
const [dispatches, applied] = [calls(""), candidate === undefined ? undefined : calls(candidate)];
if (json) {
  const how = { engine: device.engine, adapter: device.adapterName, dtype, candidate, applied };
  const report = { ...how, passed, failed, skipped, results };
  await writeWholeFile(json, JSON.stringify(report, null, 2));
}
console.log(`\n${passed} passed, ${failed} failed, ${skipped} skipped`);
if (candidate !== undefined) {
  console.log(`${applied} of ${dispatches} dispatches by kernels named ${candidate}`);
}
Deno.exitCode = failed > 0 || applied === 0 ? 1 : 0;

/** `passed    2.1e-7     1e-5  ops conv_0/y`, then what there is to say. */
function line(family: string, { status, error, tolerance, id, note }: Verdict): string {
  const digits = (value: number | undefined) =>
    (value === undefined ? "" : value === 0 ? "0" : Number(value.toPrecision(2)).toExponential()).padStart(8);
  const words = note ? `: ${note}` : "";
  return `${status.padEnd(8)} ${digits(error)} ${digits(tolerance)}  ${family} ${id}${words}`;
}
