/**
 * Runs every case of a set of reference values, laid out as test/fixtures, and says how far each is from its
 * target.
 * Run: deno task conformance DIR [--only FAMILY] [--json FILE] [--engine auto|dawn|deno]
 */
import "./plain_errors.ts";
import { parseArgs } from "node:util";
import { type Engine, openDevice } from "denoise";
import { conform, families, familiesOf, type Verdict } from "../test/conformance/mod.ts";

const engines = ["auto", "dawn", "deno"];

const { set, only, json, engine } = readArguments();
const chosen = familiesOf(set).filter((family) => only === undefined || family === only);
if (chosen.length === 0) {
  refuse(`expected a folder with ${only ?? Object.keys(families).join(", ")}, got ${set}`);
}

using device = await openDevice({ engine });
console.log(`${device.engine}, ${device.adapterName}`);
console.log(`${"verdict".padEnd(8)} ${"error".padStart(8)} ${"bound".padStart(8)}  case`);

const results: (Verdict & { family: string })[] = [];
for (const family of chosen) {
  for await (const verdict of conform(set, family)) {
    results.push({ family, ...verdict });
    console.log(line(family, verdict));
  }
}

const count = (status: Verdict["status"]) => results.filter((result) => result.status === status).length;
const [passed, failed, skipped] = [count("passed"), count("failed"), count("skipped")];
if (json) {
  const report = { engine: device.engine, adapter: device.adapterName, passed, failed, skipped, results };
  await Deno.writeTextFile(json, JSON.stringify(report, null, 2));
}
console.log(`\n${passed} passed, ${failed} failed, ${skipped} skipped`);
Deno.exitCode = failed > 0 ? 1 : 0;

/** `passed    2.1e-7     1e-5  ops conv_0/y`, then what there is to say. */
function line(family: string, { status, error, tolerance, id, note }: Verdict): string {
  const digits = (value: number | undefined) =>
    (value === undefined ? "" : value === 0 ? "0" : Number(value.toPrecision(2)).toExponential()).padStart(8);
  const words = note ? `: ${note}` : "";
  return `${status.padEnd(8)} ${digits(error)} ${digits(tolerance)}  ${family} ${id}${words}`;
}

function readArguments(): {
  set: string;
  only: string | undefined;
  json: string | undefined;
  engine: Engine | "auto";
} {
  const string = { type: "string" } as const;
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { only: string, json: string, engine: { ...string, default: "auto" } },
    });
    const { only, json, engine } = values;
    if (positionals.length !== 1) refuse(`expected one folder, got ${positionals.length}`);
    if (only !== undefined && !(only in families)) {
      refuse(`expected a family of ${Object.keys(families).join(", ")}, got ${only}`);
    }
    if (!engines.includes(engine)) refuse(`expected an engine of ${engines.join(", ")}, got ${engine}`);
    return { set: positionals[0]!, only, json, engine: engine as Engine | "auto" };
  } catch (error) {
    refuse((error as Error).message);
  }
}

/** Ends with a line on standard error. */
function refuse(reason: string): never {
  console.error(`Cannot run conformance: ${reason}`);
  Deno.exit(2);
}
