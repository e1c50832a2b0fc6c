/** What kernels may take of a GPU: written down in budgets.json, and compared with what the compiler made. */
import { join } from "node:path";
import type { Compilation } from "./compile.ts";

/** What the variants of a kernel take at most, on one GPU. */
export interface Budget {
  /** That a SIMD can hold at once: the fewer, the less a wait for memory is hidden. */
  readonly subgroups: number;
  /** Bytes of workgroup memory. */
  readonly lds: number;
  readonly vgprs: number;
}

/** By kernel and variant, then by GPU. */
export interface Budgets {
  /** Of the compilations that the rest was taken from. */
  readonly driver: string;
  readonly kernels: Readonly<Record<string, Readonly<Record<string, Budget>>>>;
}

/** How a compilation differs from what is written down. */
export interface Differences {
  /** Must not be. */
  readonly failures: readonly string[];
  /** May be. */
  readonly notes: readonly string[];
}

/** The file. */
export const BUDGETS_PATH: string = join(import.meta.dirname!, "budgets.json");

/** What the file says. */
export async function readBudgets(): Promise<Budgets> {
  return JSON.parse(await Deno.readTextFile(BUDGETS_PATH));
}

/** What some compilations take: the worst of the pipelines of each kernel and variant. */
export function budgetsOf(compilations: readonly Compilation[]): Budgets {
  const kernels: Record<string, Record<string, Budget>> = {};
  for (const { family, pipelines } of compilations) {
    for (const [name, list] of Map.groupBy(pipelines, nameOf)) {
      const worst = (key: string, of: (...values: number[]) => number) =>
        of(...list.map(({ statistics }) => statistics[key]!));
      (kernels[name] ??= {})[family] = {
        subgroups: worst("Subgroups per SIMD", Math.min),
        lds: worst("LDS size", Math.max),
        vgprs: worst("VGPRs", Math.max),
      };
    }
  }
  const sorted = Object.entries(kernels).sort(([a], [b]) => a < b ? -1 : 1);
  return { driver: compilations[0]!.driver, kernels: Object.fromEntries(sorted) };
}

/** The file's text, a GPU of a kernel a line. */
export function formatBudgets({ driver, kernels }: Budgets): string {
  const gpu = ([family, { subgroups, lds, vgprs }]: [string, Budget]) =>
    `      "${family}": { "subgroups": ${subgroups}, "lds": ${lds}, "vgprs": ${vgprs} }`;
  const kernel = ([name, gpus]: [string, Readonly<Record<string, Budget>>]) =>
    `    ${JSON.stringify(name)}: {\n${Object.entries(gpus).map(gpu).join(",\n")}\n    }`;
  const all = Object.entries(kernels).map(kernel).join(",\n");
  return `{\n  "driver": ${JSON.stringify(driver)},\n  "kernels": {\n${all}\n  }\n}\n`;
}

/**
 * Compares a compilation with what is written down. Spills, scratch memory, fewer subgroups, more workgroup memory and what
 * is not written down are failures; with another driver only the first two are.
 */
export function compare(compilation: Compilation, written: Budgets): Differences {
  const { family, driver } = compilation;
  const [failures, notes]: [string[], string[]] = [spillsOf(compilation), []];
  const isSame = driver === written.driver;
  if (!isSame) {
    notes.push(`budgets were written with ${written.driver}, this is ${driver}: only spills count`);
  }
  const { kernels } = budgetsOf([compilation]);
  for (const [name, gpus] of Object.entries(kernels)) {
    const [now, before] = [gpus[family]!, written.kernels[name]?.[family]];
    const line = `${family} ${name}: ${difference(before, now)}`;
    const isWorse = !before || now.subgroups < before.subgroups || now.lds > before.lds;
    if (isWorse && isSame) failures.push(line);
    else if (difference(before, now)) notes.push(line);
  }
  for (const [name, gpus] of Object.entries(written.kernels)) {
    if (gpus[family] && !kernels[name]) notes.push(`${family} ${name}: no longer there`);
  }
  return { failures, notes };
}

/** Kernels that do not fit into the registers. */
export function spillsOf({ family, pipelines }: Compilation): string[] {
  return pipelines.flatMap((pipeline) =>
    ["Spilled VGPRs", "Spilled SGPRs", "Scratch size"].filter((key) => pipeline.statistics[key]! > 0)
      .map((key) => `${family} ${nameOf(pipeline)}: ${key} ${pipeline.statistics[key]}, expected 0`)
  );
}

function nameOf({ kernel, variant }: { kernel: string; variant: string }): string {
  return variant ? `${kernel} ${variant}` : kernel;
}

/** E.g. "16 → 8 subgroups, 96 → 144 vgprs". */
function difference(before: Budget | undefined, now: Budget): string {
  const keys = ["subgroups", "lds", "vgprs"] as const;
  if (!before) return `new, ${keys.map((key) => `${now[key]} ${key}`).join(", ")}`;
  return keys.filter((key) => before[key] !== now[key])
    .map((key) => `${before[key]} → ${now[key]} ${key}`).join(", ");
}
