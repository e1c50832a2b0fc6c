import type { Device, Pipeline } from "denoise";
import { version } from "../../src/core/version.ts";
import type { Speeds } from "../doctor/speeds.ts";
import { type Profile, type ProfileRow, spreadOf } from "./form.ts";
import { kernelsOf } from "./kernels.ts";
import type { Measured, Sample } from "./measure.ts";
import { plansOf } from "./memory.ts";

/** A profile of what was measured. */
export function buildProfile(
  device: Device,
  subject: Profile["subject"],
  speeds: Speeds,
  measured: Measured,
): Profile {
  const { samples, runMs } = measured;
  const { count, compileMs } = device.pipelines.statistics;
  const peaks: Profile["peaks"] = {
    f32: 1000 * speeds.f32,
    ...speeds.f16 !== undefined && { f16: 1000 * speeds.f16 },
    ...speeds.matrix !== undefined && { matrix: 1000 * speeds.matrix },
    memory: speeds.copy,
  };
  const pipelines = [...new Set(samples.map(({ pipeline }) => pipeline))];
  const { rows, numbers } = rowsOf(samples, peaks, pipelines);
  const first = samples[0]?.start ?? 0;
  const host = Object.entries(measured.host).map(([kind, ms]) => [kind, ms / runMs.length]);
  return {
    format: "denoise-profile",
    version: 1,
    denoise: version,
    adapter: { name: device.adapterName, engine: device.engine, text: device.describe() },
    subject,
    peaks,
    pipelines: { count, compileMs, warmUpMs: measured.warmUpMs },
    step: spreadOf(measured.stepMs),
    runMs: {
      plain: spreadOf(runMs),
      passes: spreadOf(measured.passesRunMs),
      dispatches: spreadOf(measured.dispatchesRunMs),
    },
    gpuMs: {
      passes: spreadOf(measured.passesGpuMs),
      dispatches: spreadOf([...Map.groupBy(samples, runOf).values()].map(total)),
    },
    gapMs: gapsOf(samples) / subject.runs,
    hostMs: Object.fromEntries(host) as Profile["hostMs"],
    rows,
    kernels: kernelsOf(device, pipelines),
    dispatches: samples.map(({ occurrence, start, ms }, i) => [numbers[i]!, occurrence, start - first, ms]),
    memory: { peak: device.buffers.usage().peak, plans: plansOf(device) },
  };
}

const runOf = ({ occurrence }: Sample) => occurrence.split(".")[0]!;
const total = (samples: readonly Sample[]) => samples.reduce((sum, { ms }) => sum + ms, 0);

/** Rows, the longest first, and the number of each sample's row. */
function rowsOf(
  samples: readonly Sample[],
  peaks: Profile["peaks"],
  pipelines: readonly Pipeline[],
): { rows: ProfileRow[]; numbers: number[] } {
  const texts = new Map(pipelines.map((pipeline, i) => [pipeline, i]));
  const keyOf = ({ kernel, model, path, mark, shape, flops, bytes, pipeline, workgroups }: Sample) =>
    [kernel, model, path, mark, shape, flops, bytes, texts.get(pipeline), workgroups].join(" ");
  const keys = samples.map(keyOf);
  const lists = [...Map.groupBy(samples, keyOf)].sort(([, a], [, b]) => total(b) - total(a));
  const allMs = total(samples);
  const rows = lists.map(([, list]): ProfileRow => {
    const { kernel, model, path, mark, shape, flops, bytes, pipeline, workgroups } = list[0]!;
    const occurrences = [...Map.groupBy(list, ({ occurrence }) => occurrence).values()];
    const totalMs = total(list);
    const rate = (amount: number) => totalMs > 0 ? list.length * amount / totalMs / 1e6 : 0;
    const roof = roofOf(kernel, flops, bytes, peaks);
    const reached = roof === "memory" ? rate(bytes) : rate(flops);
    return {
      kernel,
      model,
      path,
      mark,
      shape: [...shape],
      text: texts.get(pipeline)!,
      workgroups: [...workgroups],
      flops,
      bytes,
      calls: list.length / occurrences.length,
      ms: spreadOf(occurrences.map(total)),
      count: list.length,
      totalMs,
      share: allMs > 0 ? totalMs / allMs : 0,
      gflops: rate(flops),
      gbytes: rate(bytes),
      roof,
      ofPeak: reached / peaks[roof]!,
    };
  });
  const places = new Map(lists.map(([key], i) => [key, i]));
  return { rows, numbers: keys.map((key) => places.get(key)!) };
}

/** Whether the adapter's memory or its arithmetic would need longer for a kernel, each at its peak. */
function roofOf(kernel: string, flops: number, bytes: number, peaks: Profile["peaks"]): ProfileRow["roof"] {
  const arithmetic = kernel.includes("matrix") && peaks.matrix
    ? "matrix"
    : kernel.includes("half") && peaks.f16
    ? "f16"
    : "f32"; // sums are in f32 wherever no name says otherwise
  return flops / peaks[arithmetic]! > bytes / peaks.memory ? arithmetic : "memory";
}

/** Time on the GPU between one dispatch and the next of the same step. */
function gapsOf(samples: readonly Sample[]): number {
  return samples.reduce((sum, { start, occurrence }, i) => {
    const before = samples[i - 1];
    if (before?.occurrence !== occurrence) return sum;
    return sum + Math.max(0, start - before.start - before.ms);
  }, 0);
}
