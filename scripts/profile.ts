/**
 * Times every dispatch of a model's step: which kernels of which modules take how long, and how fast they
 * run.
 * Run: deno task profile models/emoji-ddpm --steps 3 --trace trace.json
 */
import "./plain_errors.ts";
import { openDevice, randn, type TimingRow, traceEvents } from "denoise";
import { UNet2DModel } from "denoise/models";
import { readIndex } from "../src/pipelines/model_index.ts";
import { readArguments } from "./command_line/arguments.ts";
import * as option from "./command_line/options.ts";
import { expectWritable } from "../src/io/files/whole_file.ts";

const options = readArguments(
  "scripts/profile.ts [model]",
  "Times every dispatch of a UNet2DModel's step, by kernel and by module.",
  {
    model: option.model("of a UNet2DModel, e.g. google/ddpm-celebahq-256", "emoji-ddpm"),
    steps: option.count("steps that are timed, behind one that compiles", 3),
    size: option.size("of the sample; default: what the model was trained for"),
    rows: option.count("lines of the table by module", 30),
    engine: option.choice("of WebGPU", ["auto", "dawn", "deno"], "auto"),
    trace: option.output("every dispatch, for Perfetto", /./, "trace.json"),
  },
);
if (options.trace !== undefined) expectWritable(options.trace, `take --trace ${options.trace}`);

const { components } = await readIndex(options.model, {}).catch(() => ({
  components: {} as Record<string, string>,
}));
const found = components["unet"] ?? components["transformer"];
if (found !== undefined && found !== "UNet2DModel") {
  throw new TypeError(
    `Cannot profile ${options.model}: expected a UNet2DModel, got ${found}, whose steps are not timed yet`,
  );
}

using device = await openDevice({ engine: options.engine, profile: true });
using unet = await UNet2DModel.fromPretrained(options.model, { subfolder: "unet" });
const [H, W] = options.size ? [options.size.height, options.size.width] : unet.sampleSize;
const sample = randn([1, unet.config.in_channels, H, W]);

const start = performance.now();
await unet.forward(sample, 0).sample.data(); // compiles: the drivers of some adapters do so at the first dispatch
const firstMs = performance.now() - start;
await device.profiler!.reset();

const { steps } = options;
for (let i = 1; i <= steps; i++) await unet.forward(sample, i).sample.data();

const rows = await device.timings();
const total = rows.reduce((sum, row) => sum + row.ms, 0);
console.log(`${device.describe()}\n`);
table("kernel", [...Map.groupBy(rows, (row) => row.kernel)].map(([kernel, list]) => [kernel, merge(list)]));
console.log();
table(
  "module and kernel",
  rows.slice(0, options.rows).map((row) => [`${row.path} ${row.kernel}`, row]),
);
const { count, compileMs } = device.pipelines.statistics;
const dispatches = rows.reduce((sum, { calls }) => sum + calls, 0);
console.log(
  `\n${(total / steps).toFixed(2)} ms a step on the GPU, ${(dispatches / steps).toFixed(1)} dispatches`,
);
console.log(
  `${count} pipelines: ${compileMs.toFixed(0)} ms to create, ${firstMs.toFixed(0)} ms for the first step`,
);

if (options.trace) {
  await Deno.writeTextFile(options.trace, JSON.stringify(traceEvents(await device.profiler!.dispatches())));
  console.log(`${options.trace}: open it in Perfetto (ui.perfetto.dev)`);
}

/** Rows of one kernel as one; rates are weighted by time. */
function merge(list: TimingRow[]): TimingRow {
  const sum = (value: (row: TimingRow) => number) => list.reduce((total, row) => total + value(row), 0);
  const ms = sum((row) => row.ms);
  const mean = (key: "gflops" | "gbytes") => ms ? sum((row) => row[key] * row.ms) / ms : 0;
  return {
    ...list[0]!,
    calls: sum((row) => row.calls),
    ms,
    gflops: mean("gflops"),
    gbytes: mean("gbytes"),
    share: sum((row) => row.share),
  };
}

function table(title: string, lines: [string, TimingRow][]): void {
  const width = Math.max(title.length, ...lines.map(([name]) => name.length));
  console.log(`${title.padEnd(width)}  calls       ms  GFLOP/s    GB/s  share`);
  for (const [name, { calls, ms, gflops, gbytes, share }] of lines.sort(([, a], [, b]) => b.ms - a.ms)) {
    const cells = [ms.toFixed(2).padStart(8), gflops.toFixed(2).padStart(8), gbytes.toFixed(2).padStart(7)];
    console.log(
      `${name.padEnd(width)}  ${String(calls).padStart(5)} ${cells.join(" ")} ${
        (100 * share).toFixed(1).padStart(5)
      }%`,
    );
  }
}
