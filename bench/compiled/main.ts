/**
 * Compiles all kernels of Stable Diffusion 1.5, SDXL and FLUX.1 for GPUs that are not there, and compares what they take
 * with what is written down in budgets.json. `--write` writes it down anew, and the tables in docs/measurements.md.
 * Run: deno task compiled
 */
import "../../scripts/plain_errors.ts";
import { join } from "node:path";
import { readArguments } from "../../scripts/command_line/arguments.ts";
import * as option from "../../scripts/command_line/options.ts";
import { BUDGETS_PATH, budgetsOf, compare, formatBudgets, readBudgets, spillsOf } from "./budgets.ts";
import { type Compilation, COMPILED_FOR, compileFor } from "./compile.ts";
import { dispatchesOf, tableOf } from "./table.ts";

const { write, only, candidate } = readArguments(
  "bench/compiled/main.ts",
  "Compiles all kernels of three models for GPUs that are not there, and compares what they take with budgets.json.",
  {
    write: option.flag("writes it down anew, and the tables of docs/measurements.md"),
    only: option.some("GPUs to compile for, without --write", COMPILED_FOR),
    candidate: option.text(
      "part of the names of kernels that are taken wherever they are right, and told of alone; without --write",
    ),
  },
);
const part = only ? "--only" : candidate !== undefined ? "--candidate" : undefined;
if (write && part) {
  throw new TypeError(
    `Cannot take ${part} with --write: what is written down is of all GPUs, and of what models take`,
  );
}

const compilations: Compilation[] = [];
for (const family of COMPILED_FOR.filter((family) => only?.includes(family) ?? true)) {
  console.error(`compiling for ${family}`);
  compilations.push(await compileFor(family, candidate));
}
if (candidate !== undefined && compilations.every(({ pipelines }) => pipelines.length === 0)) {
  throw new Error(
    `Cannot compile ${candidate}: expected part of a name of kernels that are right somewhere, got no such`,
  );
}
const [table, dispatches] = [tableOf(compilations), dispatchesOf(compilations)];
console.log(`${compilations[0]!.driver}\n\n${table}\n`);
if (candidate === undefined) console.log(`${dispatches}\n`);

const written = await readBudgets();
const all = compilations.map((compilation) =>
  candidate === undefined ? compare(compilation, written) : { failures: spillsOf(compilation), notes: [] }
);
const [failures, notes] = [all.flatMap(({ failures }) => failures), all.flatMap(({ notes }) => notes)];
for (const line of [...new Set(notes)]) console.log(line);
for (const line of failures) console.log(`FAILED ${line}`);
if (write) {
  await Deno.writeTextFile(BUDGETS_PATH, formatBudgets(budgetsOf(compilations)));
  await writeTables({ kernels: table, dispatches });
} else if (failures.length) {
  const advice = candidate ? "" : "; `deno task compiled --write` writes down what is meant to be so";
  console.log(`${failures.length} failed${advice}`);
  Deno.exitCode = 1;
} else console.log(`no spills, no scratch memory${candidate ? "" : ", all within their budgets"}`);

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
