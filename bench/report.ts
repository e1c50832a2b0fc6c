import type { Row } from "./kernels.ts";
import type { StepRow } from "./step.ts";

/** Everything that was measured: what `--json` keeps. */
export interface Report {
  date: string;
  adapter: string;
  versions: { deno: string; torch?: string | undefined; onnxruntime?: string | undefined };
  /** GFLOP/s of f32 arithmetic alone. */
  peak: number;
  kernels: Row[];
  steps: StepRow[];
}

/** The report as one table and a few lines. */
export function format({ adapter, versions, peak, kernels, steps }: Report): string {
  const rate = (row: Row, ms?: number) => ms ? (row.flops / ms / 1e6).toPrecision(3) : "–";
  const ratio = (row: Row, ms?: number) => ms ? (ms / row.ms).toFixed(2) : "–";
  const head = [
    "",
    "ms",
    "GFLOP/s",
    "of peak",
    "GB/s",
    "by GPU clock",
    "torch",
    "×",
    "ORT WebGPU",
    "×",
    "compile ms",
  ];
  const rows = [...kernels, ...steps].map((row) => [
    row.name,
    row.ms.toPrecision(3),
    rate(row, row.ms),
    `${(row.flops / row.ms / 1e4 / peak).toFixed(1)} %`,
    row.bytes ? (row.bytes / row.ms / 1e6).toPrecision(3) : "–",
    rate(row, row.gpuMs),
    rate(row, row.torchMs),
    ratio(row, row.torchMs),
    rate(row, row.ortMs),
    ratio(row, row.ortMs),
    row.compileMs.toFixed(0),
  ]);
  const widths = head.map((_, i) => Math.max(3, ...[head, ...rows].map((cells) => cells[i]!.length)));
  const line = (cells: string[]) =>
    `| ${
      cells.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join(" | ")
    } |`;
  const rule = `| ${
    widths.map((width, i) => i === 0 ? "-".repeat(width) : "-".repeat(width - 1) + ":").join(" | ")
  } |`;
  const peers = Object.entries(versions).flatMap(([name, version]) =>
    name === "deno" ? `Deno ${version}` : version ?? []
  );
  return [
    [adapter, ...peers].join("; "),
    `Peak of f32 arithmetic alone: ${
      peak.toFixed(1)
    } GFLOP/s. × is our speed over theirs in the same run, in turns.`,
    "",
    line(head),
    rule,
    ...rows.map(line),
    "",
    ...steps.map(({ name, flops, dispatches, encodeMs, resnet, peakBytes, load }) =>
      `${name}: ${(flops / 1e12).toPrecision(3)} TFLOP, ${dispatches} dispatches, ${
        encodeMs.toFixed(2)
      } ms to ` +
      `encode; a ResNet block at most ${resnet.plain}, with a shortcut ${resnet.shortcut}; ` +
      `${(peakBytes / 1e9).toPrecision(3)} GB of GPU memory at most; ${
        (load.bytes / 1e9).toPrecision(3)
      } GB loaded ` +
      `at ${(load.bytes / load.seconds / 1e9).toPrecision(3)} GB/s  `
    ),
    ...new Set(
      [...kernels, ...steps].flatMap(({ name, refusals }) => refusals.map((text) => `${name}: ${text}`)),
    ),
  ].join("\n");
}
