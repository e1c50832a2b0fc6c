/**
 * Examines the GPU, the driver and Denoise's kernels on it, and prints one page: what a user sends with a problem.
 * Run: deno task doctor --json doctor.json
 */
import "./plain_errors.ts";
import { type Device, openDevice } from "denoise";
import { Peer } from "../bench/peer.ts";
import { tuningsPath } from "../src/gpu/tunings/tunings_file.ts";
import { expectWritable, writeWholeFile } from "../src/io/files/whole_file.ts";
import { readArguments } from "./command_line/arguments.ts";
import * as option from "./command_line/options.ts";
import { describeAdapter } from "./doctor/adapter.ts";
import { chosenOn, type KernelRow, measureKernels, withShares } from "./doctor/kernels.ts";
import { page } from "./doctor/page.ts";
import type { Report } from "./doctor/report.ts";
import { fastest, measureSpeeds } from "./doctor/speeds.ts";
import { measureStep, type StepRow, stepsOf } from "./doctor/steps.ts";

const options = readArguments(
  "scripts/doctor.ts",
  "Examines the GPU, the driver and Denoise's kernels on it, and prints one page, in about a minute.",
  {
    json: option.output("what was found, to send with a problem", /./, "doctor.json"),
    quick: option.flag("fewer kernels, and no steps of models"),
    python: option.text("with torch, to measure beside it"),
    engine: option.choice("of WebGPU", ["auto", "dawn", "deno"], "auto"),
    adapter: option.text("part of the name of the adapter, where there are several"),
  },
);
const { quick, engine, adapter, json } = options;
if (json !== undefined) expectWritable(json, `take --json ${json}`);

const start = performance.now();
const report = await examine();
console.log(page(report));
if (json !== undefined) await writeWholeFile(json, `${JSON.stringify(report, null, 2)}\n`);
if (
  report.failures.length ||
  report.kernels.some(({ candidates }) => candidates.some(({ right }) => right === false))
) {
  Deno.exitCode = 1;
}

async function examine(): Promise<Report> {
  const failures: { part: string; error: string }[] = [];
  /** Does one part; where it fails, the others go on. */
  async function part<T>(name: string, work: () => Promise<T> | T): Promise<T | undefined> {
    console.error(`${((performance.now() - start) / 1000).toFixed(0).padStart(4)} s  ${name}`);
    try {
      return await work();
    } catch (error) {
      failures.push({ part: name, error: (error as Error).message.split("\n")[0]! });
      return undefined;
    }
  }
  await using torch = options.python ? await Peer.start(options.python, "torch_eager.py", "auto") : undefined;
  if (options.python && !torch) failures.push({ part: "torch", error: `${options.python} has no torch` });

  const { chosen, tunings } = await part("what was measured before", known) ?? {};
  const described = await part("adapter", onDevice(describeAdapter));
  const first = await part("peaks", onDevice(measureSpeeds));
  const kernels: KernelRow[] = [];
  await part(
    "kernels",
    onDevice(async (device) => {
      for await (const row of measureKernels(device, { quick, chosen: chosen ?? new Map(), torch })) {
        kernels.push(row);
      }
    }),
  );
  const again = await part("peaks again", onDevice(measureSpeeds));
  const speeds = first && again ? fastest(first, again) : first ?? again;
  const steps: StepRow[] = [];
  for (const step of quick ? [] : await part("models", onDevice(stepsOf)) ?? []) {
    const row = await part(step.name, () => measureStep(step, { engine, adapter, torch }));
    if (row) steps.push(row);
  }
  return {
    format: "denoise doctor",
    version: 1,
    date: new Date().toISOString(),
    adapter: described,
    speeds,
    kernels: withShares(kernels, speeds),
    tunings,
    steps,
    torch: torch?.name,
    failures,
    seconds: (performance.now() - start) / 1000,
  };
}

/** Work on a device of its own, on which kernels are chosen by guess: a part that loses it takes no other down. */
function onDevice<T>(work: (device: Device) => Promise<T> | T): () => Promise<T> {
  return async () => {
    using device = await openDevice({ engine, adapter, tune: "off" });
    return await work(device);
  };
}

/** Which candidates models run, and by which file. */
async function known() {
  using device = await openDevice({ engine, adapter });
  const { kernels, dropped } = device.tunings.data;
  return {
    chosen: chosenOn(device, quick),
    tunings: {
      path: tuningsPath(device.tunings.adapter),
      kernels: Object.keys(kernels).length,
      dropped: Object.fromEntries(Object.entries(dropped).map(([id, { why }]) => [id, why])),
    },
  };
}
