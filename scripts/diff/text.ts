import { formatShape } from "../../src/core/shape.ts";
import { some, table } from "../inspect/table.ts";
import type { Compared, Diff, Wrong } from "./diff.ts";
import { FIRST_DECADE } from "./difference.ts";

/** A comparison as text: a line a feature, then the first that is not right. */
export function describeDiff(
  diff: Diff,
  { model, dtype, against }: { model: string; dtype: string; against: string },
): string {
  const { className, call, config, features, results, first, unlike, onlyHere, onlyThere } = diff;
  const all = [...features, ...results];
  const rows = (list: readonly Compared[]) =>
    list.map(({ path, shape, error, rms, tolerance, isRight }) => [
      path,
      shape.join("×"),
      error.toExponential(1),
      tolerance.toExponential(1),
      rms.toExponential(1),
      isRight ? "" : "wrong",
    ]);
  const only = (where: string, paths: readonly string[]) =>
    paths.length ? [`only ${where} (${paths.length}): ${some(paths)}`] : [];
  return [
    `${className}.${call} of ${model} in ${dtype}, against ${against}`,
    ...config.map(({ key, here, there }) =>
      `config: ${key} is ${JSON.stringify(here)} here, ${JSON.stringify(there)} there`
    ),
    "",
    table([["feature", "shape", "error", "tolerance", "rms", ""], ...rows(features)]),
    ...results.length
      ? ["", table([["result", "shape", "error", "tolerance", "rms", ""], ...rows(results)])]
      : [],
    "",
    ...unlike.map(({ path, here, there }) =>
      `not compared: ${path} is ${formatShape(here)} here, ${formatShape(there)} there`
    ),
    ...only("there", onlyThere),
    ...only("here", onlyHere),
    `${all.filter(({ isRight }) => isRight).length} of ${all.length} are right`,
    ...first ? ["", describeFirst(first)] : [],
  ].join("\n");
}

const BAR = 40; // letters

function describeFirst({ path, error, tolerance, worst, decades, sources, hasSources }: Wrong): string {
  const most = Math.max(...decades);
  const name = (i: number) =>
    i === 0
      ? `below 1e${FIRST_DECADE}`
      : i === decades.length - 1
      ? `1 and more`
      : `1e${FIRST_DECADE + i - 1} to 1e${FIRST_DECADE + i}`;
  const lines = decades.map((count, i) =>
    `  ${name(i).padStart(12)}  ${"█".repeat(Math.ceil(BAR * count / most))} ${count}`
  );
  return [
    `first that is wrong: ${path}, error ${error.toExponential(1)}, tolerance ${tolerance.toExponential(1)}`,
    `  furthest off at [${worst.index.join(", ")}]: ${worst.here} here, ${worst.there} there`,
    sources.length > 0
      ? "  computed from"
      : `  computed from ${hasSources ? "features that were not compared" : "inputs and weights alone"}`,
    ...sources.map((one) =>
      `    ${one.path}: ${one.isRight ? "right" : "wrong"}, error ${one.error.toExponential(1)}`
    ),
    "  elements by their error, of the largest value",
    ...lines.slice(decades.findIndex(Boolean), decades.findLastIndex(Boolean) + 1),
  ].join("\n");
}
