import type { Device, Pipeline } from "denoise";
import { version } from "../../src/core/version.ts";
import type { Speeds } from "../doctor/speeds.ts";
import { spreadOf } from "./figures.ts";
import { HOST_KINDS, type Profile, type ProfileRow } from "./form.ts";
import { kernelsOf } from "./kernels.ts";
import {
  gpuMs,
  hostMs,
  type Measured,
  occurrenceOf,
  pipelinesOf,
  type Sample,
  samplesOf,
  stepTimes,
  wallMs,
} from "./measure.ts";
import { plansOf } from "./memory.ts";

/** A profile of what was measured. */
export function buildProfile(
  device: Device,
  subject: Profile["subject"],
  speeds: Speeds,
  measured: Measured,
): Profile {
  const { plain, passes, dispatches } = measured;
  const samples = samplesOf(dispatches);
  const { count, compileMs } = device.pipelines.statistics;
  const peaks: Profile["peaks"] = {
    f32: 1000 * speeds.f32,
    ...speeds.f16 !== undefined && { f16: 1000 * speeds.f16 },
    ...speeds.matrix !== undefined && { matrix: 1000 * speeds.matrix },
    memory: speeds.copy,
  };
  const pipelines = pipelinesOf(measured);
  const { rows, numbers } = rowsOf(samples, peaks, pipelines);
  const first = dispatches[0]!.start;
  const meanMs = (kind: typeof HOST_KINDS[number]) =>
    plain.reduce((sum, run) => sum + hostMs(run, kind), 0) / plain.length;
  return {
    format: "denoise-profile",
    version: 2,
    denoise: version,
    adapter: { name: device.adapterName, engine: device.engine, text: device.describe() },
    subject,
    peaks,
    pipelines: { count, compileMs, warmUpMs: measured.warmUpMs },
    step: spreadOf(stepTimes(measured)),
    runMs: {
      plain: spreadOf(plain.map(wallMs)),
      passes: spreadOf(passes.map(wallMs)),
      dispatches: spreadOf(dispatches.map(wallMs)),
    },
    gpuMs: { passes: spreadOf(passes.map(gpuMs)), dispatches: spreadOf(dispatches.map(gpuMs)) },
    gapMs: gapsOf(samples) / subject.runs,
    hostMs: Object.fromEntries(HOST_KINDS.map((kind) => [kind, meanMs(kind)])) as Profile["hostMs"],
    rows,
    kernels: kernelsOf(device, pipelines),
    dispatches: samples.map((
      { occurrence, start, ms, live },
      i,
    ) => [numbers[i]!, occurrence, start - first, ms, live]),
    host: dispatches.flatMap(({ host }, run) =>
      host.map(({ kind, turn, start, end }): Profile["host"][number] => [
        kind,
        occurrenceOf(run, turn),
        start - first,
        end - start,
      ])
    ),
    stretches: dispatches.flatMap(({ recording, end: done }, run) =>
      recording.stretches.map(({ mark, turn, start, end = done }): Profile["stretches"][number] => [
        mark,
        occurrenceOf(run, turn),
        start - first,
        end - start,
      ])
    ),
    clockSlackMs: Math.max(...dispatches.map(({ recording }) => recording.clock?.slack ?? 0)),
    again: [],
    memory: {
      peak: device.buffers.usage().peak,
      device: dispatches.flatMap(({ recording }) =>
        recording.memory.map(([at, bytes]): [number, number] => [at - first, bytes])
      ),
      plans: plansOf(device).filter(({ label }) => rows.some(({ model }) => model === label)),
    },
  };
}

const total = (samples: readonly Sample[]) => samples.reduce((sum, { ms }) => sum + ms, 0);

/** Rows, the longest first, and the number of each sample's row. */
function rowsOf(
  samples: readonly Sample[],
  peaks: Profile["peaks"],
  pipelines: readonly Pipeline[],
): { rows: ProfileRow[]; numbers: number[] } {
  const texts = new Map(pipelines.map((pipeline, i) => [pipeline, i]));
  const keyOf = ({ kernel, model, path, mark, shape, flops, bytes, fused, pipeline, workgroups }: Sample) =>
    [kernel, model, path, mark, shape, flops, bytes, fused, texts.get(pipeline), workgroups].join(" ");
  const keys = samples.map(keyOf);
  const lists = [...Map.groupBy(samples, keyOf)].map(([key, list]) => {
    const occurrences = [...Map.groupBy(list, ({ occurrence }) => occurrence).values()].map(total);
    const ms = spreadOf(occurrences);
    return { key, list, ms, occurrences: occurrences.length, totalMs: ms.median * occurrences.length };
  }).sort((a, b) => b.totalMs - a.totalMs);
  const allMs = lists.reduce((sum, { totalMs }) => sum + totalMs, 0);
  const rows = lists.map(({ list, ms, occurrences, totalMs }): ProfileRow => {
    const first = list[0]!;
    const { kernel, model, path, mark, shape, dtype, inputs, fused, flops, bytes } = first;
    const rate = (amount: number) => totalMs > 0 ? list.length * amount / totalMs / 1e6 : 0;
    const roof = roofOf(kernel, flops, bytes, peaks);
    const reached = roof === "memory" ? rate(bytes) : rate(flops);
    return {
      kernel,
      model,
      path,
      mark,
      shape: [...shape],
      text: texts.get(first.pipeline)!,
      workgroups: [...first.workgroups],
      dtype,
      inputs: inputs.map((input) => ({ ...input, shape: [...input.shape] })),
      fused,
      flops,
      bytes,
      calls: list.length / occurrences,
      ms,
      count: list.length,
      totalMs,
      share: allMs > 0 ? totalMs / allMs : 0,
      gflops: rate(flops),
      gbytes: rate(bytes),
      roof,
      ofPeak: reached / peaks[roof]!,
    };
  });
  const places = new Map(lists.map(({ key }, i) => [key, i]));
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
