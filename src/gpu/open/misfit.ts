import { type Engine, traitsOf } from "../traits.ts";

/** WebGPU's device and its adapter. */
export interface OpenedDevice {
  readonly gpu: GPUDevice;
  readonly info: GPUAdapterInfo;
}

/** What tells one adapter from another; its times in the file of tunings count for it alone. */
const NAMES = ["vendor", "architecture", "device", "description"] as const;

/**
 * Why a device cannot stand in for one that was lost, as "expected …, got …"; undefined where it can. Kernels were chosen and
 * buffers laid out for what the lost one can do, so the other must be of the same adapter, with the same traits, and
 * allow no less.
 */
export function misfitOf(lost: OpenedDevice, other: OpenedDevice, engine: Engine): string | undefined {
  if (NAMES.some((name) => lost.info[name] !== other.info[name])) {
    const named = NAMES.map((name) => other.info[name]).filter(Boolean).join(" ");
    return `expected the same adapter, got ${named || "one without a name"}`;
  }
  const [traits, others] = [lost, other].map(({ gpu, info }) => Object.entries(traitsOf(gpu, info, engine)));
  for (const [i, [name, value]] of traits!.entries()) {
    const [want, got] = [value, others![i]![1]].map((one) => JSON.stringify(one) ?? "none");
    if (want !== got) return `expected ${name} ${want}, got ${got}`;
  }
  const [limits, its] = [lost, other].map(({ gpu }) => gpu.limits as unknown as Record<string, number>);
  for (const name in limits) {
    const [want, got] = [limits[name]!, its![name]!];
    if (typeof want !== "number") continue;
    const isAlignment = name.startsWith("min"); // the smaller allows more
    if (isAlignment ? got > want : got < want) {
      return `expected ${name} of at ${isAlignment ? "most" : "least"} ${want}, got ${got}`;
    }
  }
  return undefined;
}
