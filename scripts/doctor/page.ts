import { table } from "../inspect/table.ts";
import { shortNames } from "../tune/table.ts";
import type { AdapterReport } from "./adapter.ts";
import type { KernelRow } from "./kernels.ts";
import type { Report } from "./report.ts";
import type { Speeds } from "./speeds.ts";
import type { StepRow } from "./steps.ts";

/** The report as a page of text. */
export function page(report: Report): string {
  const { adapter, speeds, kernels, tunings, steps, failures, torch, seconds } = report;
  return [
    adapter && adapterPart(adapter),
    speeds && speedsPart(speeds),
    kernels.length && kernelsPart(kernels, torch),
    tunings && tuningsPart(tunings),
    steps.length && stepsPart(steps, torch),
    ...[...Map.groupBy(failures, ({ error }) => error)].map(([error, list]) =>
      `FAILED ${list.map(({ part }) => part).join(", ")}: ${error}`
    ),
    `Took ${seconds.toFixed(0)} s`,
  ].filter(Boolean).join("\n\n");
}

/** Three digits, or more where the number is whole with them. */
const digits = (value: number | undefined) =>
  value === undefined ? "–" : Math.abs(value) < 1000 ? value.toPrecision(3) : value.toFixed(0);
const percent = (part: number | undefined) => part === undefined ? "–" : `${(100 * part).toFixed(1)} %`;
const gigabytes = (bytes: number | undefined) =>
  bytes === undefined ? "unknown" : `${(bytes / 1e9).toFixed(1)} GB`;

function adapterPart(
  { described, adapter, versions, system, memory, features, lacking, limits, traits }: AdapterReport,
) {
  const { matrices, subgroups, sizedSubgroups, workgroupMemory, invocations } = traits;
  const shapes = matrices.map((c) => `${c.M}×${c.N}×${c.K} ${c.componentType} → ${c.resultComponentType}`);
  const limit = (name: string) => limits[name];
  return [
    described,
    `Denoise ${versions.denoise}, Deno ${versions.deno}, webgpu ${versions.webgpu}; ${system.os}; ${system.cores} × ` +
    `${system.cpu}, ${gigabytes(system.memory)}`,
    `adapter: ${Object.values(adapter).join(" | ")}; memory ${gigabytes(memory)}`,
    `features: ${features.join(", ")}`,
    `lacks: ${lacking.join(", ") || "nothing that is used"}`,
    `subgroups: ${
      subgroups ? `${subgroups.min} to ${subgroups.max} lanes${sizedSubgroups ? ", to choose" : ""}` : "none"
    }; ` +
    `matrices: ${shapes.join(", ") || "none"}`,
    `workgroups: ${invocations} invocations, ${workgroupMemory / 1024} KiB; buffers: ` +
    `${gigabytes(limit("maxBufferSize"))}, bound ${gigabytes(limit("maxStorageBufferBindingSize"))}, ` +
    `${limit("maxStorageBuffersPerShaderStage")} a stage`,
  ].join("\n");
}

function speedsPart({ f32, f16, matrix, copy, upload, readback }: Speeds): string {
  return `Peaks: f32 ${digits(f32)}, f16 ${digits(f16)}, matrix units ${digits(matrix)} TFLOP/s; ` +
    `copies ${digits(copy)}, sent ${digits(upload)}, read back ${digits(readback)} GB/s`;
}

function kernelsPart(kernels: readonly KernelRow[], torch: string | undefined): string {
  const head = ["kernel and candidates", "", "ms", "TFLOP/s", "of peak", "GB/s", "of copies", ""];
  const rows = kernels.flatMap(({ name, candidates, chosen, skipped, torchMs, flops, absent }) => {
    const names = shortNames(candidates.map(({ id }) => id));
    const lacks = Map.groupBy(absent, ({ needs }) => needs);
    return [
      [name, ...skipped ? ["", "", "", "", "", "", skipped] : []],
      ...candidates.map(({ id, right, why, ms, tflops, ofPeak, gbs, ofCopy }) => [
        `  ${names.get(id)}`,
        right === undefined ? "not tried" : right ? "right" : "WRONG",
        digits(ms),
        digits(tflops),
        percent(ofPeak),
        digits(gbs),
        percent(ofCopy),
        [id === chosen ? "chosen" : "", why ?? ""].filter(Boolean).join(" "),
      ]),
      ...torchMs
        ? [[`  torch`, "", digits(torchMs), digits(flops / torchMs / 1e9), "", "", "", torch ?? ""]]
        : [],
      ...[...lacks].map(([needs, list]) => {
        const names = [...new Set(list.map(({ name }) => name.replace(/_split\d+$/, "")))].join(", ");
        return ["  others", "absent", "", "", "", "", "", `${names}: needs ${needs}`];
      }),
    ];
  });
  return table([head, ...rows]);
}

function tuningsPart({ path, kernels, dropped }: NonNullable<Report["tunings"]>): string {
  const known = kernels
    ? `${kernels} classes of kernels measured before`
    : "nothing measured before: guesses run";
  return [
    `Tuning: ${known}; ${path}`,
    ...Object.entries(dropped).map(([id, why]) => `  dropped ${id}: ${why}`),
  ].join("\n");
}

function stepsPart(steps: readonly StepRow[], torch: string | undefined): string {
  return steps.map(({ name, ms, hostMs, gpuMs, dispatches, compileMs, kernels, torchMs }) => {
    const most = kernels.slice(0, 5).map(({ kernel, calls, ms }) => `${kernel} ${calls}× ${digits(ms)}`).join(
      ", ",
    );
    return [
      `${name}: ${digits(ms)} ms; ${digits(hostMs)} on the host, ${
        digits(gpuMs)
      } on the GPU; ${dispatches} dispatches; ` +
      `${(compileMs / 1000).toFixed(1)} s to compile${torchMs ? `; ${torch} ${digits(torchMs)} ms` : ""}`,
      ...most ? [`  longest, in ms: ${most}`] : [],
    ].join("\n");
  }).join("\n");
}
