/** The static table: what the inner loops of kernels do, from their machine code. */
import type { Compilation, Compiled } from "./compile.ts";
import { KINDS } from "../../scripts/null_gpu/hot_loop.ts";

/** Kernels below this part of a GPU's multiply-adds are left out. */
const LEAST = 0.002;

/** A table for people and docs: a kernel on a GPU a line, the pipeline that has most of the models' arithmetic. */
export function tableOf(compilations: readonly Compilation[]): string {
  const rows = compilations.flatMap(({ family, pipelines }) => {
    const all = sum(pipelines.map(flopsOf));
    return [...Map.groupBy(pipelines, rowOf)]
      .map(([kernel, list]) => ({ kernel, list, part: sum(list.map(flopsOf)) / all }))
      .filter(({ part }) => part >= LEAST)
      .toSorted((a, b) => b.part - a.part)
      .map(({ kernel, list, part }) => [kernel, family, percent(part), ...cellsOf(list)]);
  });
  const head = [
    "kernel",
    "GPU",
    "of FLOPs",
    "lanes",
    "VGPRs",
    "subgroups",
    "LDS KiB",
    ...KINDS,
    "arithmetic",
    "branching",
    "mean",
  ];
  return markdown([head, ...rows]);
}

/** Dispatches of each model on each GPU, and which part of its arithmetic is on matrix units or packed. */
export function dispatchesOf(compilations: readonly Compilation[]): string {
  const models = [
    ...new Set(compilations.flatMap(({ pipelines }) => pipelines.flatMap((p) => Object.keys(p.uses)))),
  ];
  const rows = models.map((model) => {
    const cells = compilations.map(({ pipelines }) => {
      const used = pipelines.flatMap((pipeline) => {
        const use = pipeline.uses[model];
        return use ? [{ ...use, loop: pipeline.loop }] : [];
      });
      const all = sum(used.map(({ flops }) => flops));
      const fast = sum(used.map(({ flops, loop }) => loop?.counts.matrix || loop?.counts.packed ? flops : 0));
      const told = used.some(({ loop }) => loop) ? percent(fast / all) : "–"; // of code that cannot be printed
      return `${sum(used.map(({ dispatches }) => dispatches))}, ${told}`;
    });
    return [model, ...cells];
  });
  return markdown([["model", ...compilations.map(({ family }) => family)], ...rows]);
}

/** Convolutions have a row of their own. */
function rowOf({ kernel, variant }: Compiled): string {
  return variant.includes("rows_conv") ? `${kernel}, convolution` : kernel;
}

/** Of the pipeline with the most arithmetic, and the mean of all, weighted by theirs. */
function cellsOf(list: readonly Compiled[]): string[] {
  const { statistics, loop } = list.toSorted((a, b) => flopsOf(b) - flopsOf(a))[0]!;
  const numbers = ["Subgroup size", "VGPRs", "Subgroups per SIMD"].map((key) => String(statistics[key]));
  const lds = String(Math.round(statistics["LDS size"]! / 102.4) / 10);
  if (!loop) return [...numbers, lds, ...KINDS.map(() => "–"), "–", "–", "–"];
  const looping = list.filter((pipeline) => pipeline.loop);
  const mean = sum(looping.map((pipeline) => pipeline.loop!.arithmetic * flopsOf(pipeline))) /
    sum(looping.map(flopsOf));
  return [
    ...numbers,
    lds,
    ...KINDS.map((kind) => String(loop.counts[kind])),
    percent(loop.arithmetic),
    percent(loop.branching),
    percent(mean),
  ];
}

function flopsOf({ uses }: Compiled): number {
  return sum(Object.values(uses).map(({ flops }) => flops));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function percent(part: number): string {
  return `${(100 * part).toFixed(part < 0.1 ? 1 : 0)} %`;
}

/** Columns of equal width, numbers at the right, as deno fmt leaves them. */
function markdown(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(3, ...rows.map((row) => row[i]!.length)));
  const isText = rows[0]!.map((_, i) => !/^[\d–]/.test(rows[1]?.[i] ?? "") || /,/.test(rows[1]![i]!));
  const line = (cells: readonly string[]) =>
    `| ${
      cells.map((cell, i) => isText[i] ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join(" | ")
    } |`;
  const rule = widths.map((width, i) => isText[i] ? "-".repeat(width) : `${"-".repeat(width - 1)}:`);
  return [line(rows[0]!), `| ${rule.join(" | ")} |`, ...rows.slice(1).map(line)].join("\n");
}
