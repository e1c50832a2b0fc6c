import type { Device } from "denoise";
import { shapeOf } from "../../src/graph/tuning/bench.ts";
import type { Outcome } from "../../src/graph/tuning/tuner.ts";
import { table } from "../inspect/table.ts";

/** A line for each kernel: its shape and operations for an element, the fastest candidate with its time, and how many times as long the others take. */
export function describeOutcomes(outcomes: readonly Outcome[], device: Device): string {
  if (outcomes.length === 0) return "All of them were measured before; --again measures them anew";
  const measured = outcomes.filter(({ ms }) => Object.keys(ms).length > 0);
  const skipped = Map.groupBy(outcomes.flatMap(({ skipped }) => skipped ?? []), (why) => why);
  const lines = [...skipped].map(([why, { length }]) => `${length} kernels were not measured: ${why}`);
  if (measured.length === 0) return ["Nothing was measured", ...lines].join("\n");
  const rows = measured.map((outcome) => {
    const { problem, ms } = outcome;
    const [best, ...others] = Object.entries(ms);
    const names = shortNames(Object.keys(ms));
    return [
      problem.name,
      shapeOf(problem),
      (problem.flops / problem.count).toFixed(0),
      best![1].toPrecision(3),
      (problem.flops / best![1] / 1e6).toPrecision(3),
      names.get(best![0])!,
      others.map(([id, time]) => `${names.get(id)} ${(time / best![1]).toFixed(2)}×`).join(", "),
    ];
  });
  return [
    table([["kernel", "axes and types", "FLOPs each", "ms", "GFLOP/s", "fastest", "others take"], ...rows]),
    ...lines,
    `${measured.length} kernels measured on ${device.adapterName}`,
  ].join("\n");
}

/** Names of last passes where they tell candidates apart, else ids without the words that all of them share. */
export function shortNames(ids: readonly string[]): Map<string, string> {
  const names = ids.map((id) => id.split(", ").at(-1)!.split(" ")[0]!);
  if (new Set(names).size === ids.length) return new Map(ids.map((id, i) => [id, names[i]!]));
  const shared = (word: string) => ids.every((id) => id.split(/,? /).includes(word));
  const short = (id: string) => id.split(" ").filter((word) => !shared(word.replace(/,$/, ""))).join(" ");
  return new Map(ids.map((id) => [id, short(id).replace(/,$/, "") || id]));
}
