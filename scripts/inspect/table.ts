import type { TensorInfo } from "denoise/models";

/** Rows of cells in columns as wide as their longest cell; numbers stand on the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => (row[i] ?? "").length)));
  return rows.map((row) =>
    row.map((cell, i) =>
      /^-?[\d.]+( \w+|%)?$/.test(cell) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)
    )
      .join("  ").trimEnd()
  ).join("\n");
}

/** Types, number of tensors, parameters and bytes: the cells of a model. */
export function cellsOf(tensors: Iterable<TensorInfo>): string[] {
  const all = [...tensors];
  const types = Map.groupBy(all, ({ dtype }) => dtype);
  const bytes = (list: readonly TensorInfo[]) => list.reduce((sum, info) => sum + info.bytes, 0);
  const sorted = [...types].sort(([, a], [, b]) => bytes(b) - bytes(a)).map(([dtype]) => dtype);
  const parameters = all.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1), 0);
  return [sorted.join(", ") || "none", `${all.length}`, scaled(parameters), `${scaled(bytes(all))}B`];
}

/** Their headings. */
export const HEADINGS = ["types", "tensors", "parameters", "size"];

/** A number with its thousands, millions or billions as a letter. */
function scaled(value: number): string {
  const step = [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]] as const;
  const [letter, unit] = step.find(([, unit]) => value >= unit) ?? ["", 1];
  return `${letter ? (value / unit).toFixed(2) : value} ${letter}`.replace(/ $/, letter ? " " : "");
}

/** The first of some names, and how many follow. */
export function some(names: readonly string[]): string {
  const shown = names.slice(0, 3).map((name) => `"${name}"`).join(", ");
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}
