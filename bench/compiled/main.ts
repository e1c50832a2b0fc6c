/**
 * Compiles all kernels of Stable Diffusion 1.5, SDXL and FLUX.1 for GPUs that are not there, and compares what they take
 * with what is written down in budgets.json. `--write` writes it down anew, and the tables in docs/measurements.md.
 * Run: deno task compiled
 */
import "../../scripts/plain_errors.ts";
import { join } from "node:path";
import { readArguments } from "../../scripts/command_line/arguments.ts";
import * as option from "../../scripts/command_line/options.ts";
import { BUDGETS_PATH, budgetsOf, compare, formatBudgets, readBudgets } from "./budgets.ts";
import { type Compilation, COMPILED_FOR, compileFor } from "./compile.ts";
import { dispatchesOf, tableOf } from "./table.ts";

const { write, only } = readArguments(
  "bench/compiled/main.ts",
  "Compiles all kernels of three models for GPUs that are not there, and compares what they take with budgets.json.",
  {
    write: option.flag("writes it down anew, and the tables of docs/measurements.md"),
    only: option.some("GPUs to compile for, without --write", COMPILED_FOR),
  },
);
if (write && only) {
  throw new TypeError("Cannot take --only with --write: what is written down is of all GPUs");
}

const compilations: Compilation[] = [];
for (const family of COMPILED_FOR.filter((family) => only?.includes(family) ?? true)) {
  console.error(`compiling for ${family}`);
  compilations.push(await compileFor(family));
}
const [table, dispatches] = [tableOf(compilations), dispatchesOf(compilations)];
console.log(`${compilations[0]!.driver}\n\n${table}\n\n${dispatches}\n`);

const written = await readBudgets();
const all = compilations.map((compilation) => compare(compilation, written));
const [failures, notes] = [all.flatMap(({ failures }) => failures), all.flatMap(({ notes }) => notes)];
for (const line of [...new Set(notes)]) console.log(line);
for (const line of failures) console.log(`FAILED ${line}`);
if (write) {
  await Deno.writeTextFile(BUDGETS_PATH, formatBudgets(budgetsOf(compilations)));
  await writeTables({ kernels: table, dispatches });
} else if (failures.length) {
  console.log(`${failures.length} failed; \`deno task compiled --write\` writes down what is meant to be so`);
  Deno.exitCode = 1;
} else console.log("no spills, no scratch memory, all within their budgets");

/** Replaces what stands between a table's two marks. */
async function writeTables(tables: Record<string, string>): Promise<void> {
  const path = join(import.meta.dirname!, "../../docs/measurements.md");
  let text = await Deno.readTextFile(path);
  for (const [name, table] of Object.entries(tables)) {
    const [begin, end] = [`<!-- compiled: ${name} -->`, "<!-- compiled: end -->"];
    const from = text.indexOf(begin);
    const to = text.indexOf(end, from);
    if (from < 0 || to < 0) {
      throw new Error(`Cannot write ${path}: expected ${begin} and ${end}, got no such marks`);
    }
    text = `${text.slice(0, from + begin.length)}\n\n${table}\n\n${text.slice(to)}`;
  }
  await Deno.writeTextFile(path, text);
}
