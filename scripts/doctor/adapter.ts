import { type Device, version } from "denoise";
import { cpus, release, totalmem } from "node:os";
import project from "../../deno.json" with { type: "json" };
import { memoryOf } from "../../src/gpu/memory/adapter_memory.ts";
import { type TunedAdapter, tunedAdapter } from "../../src/gpu/tunings/tunings.ts";
import { WANTED_FEATURES } from "../../src/gpu/traits.ts";

/** The machine, the adapter and its driver, and what they can do. */
export interface AdapterReport {
  readonly described: string;
  readonly adapter: TunedAdapter;
  readonly versions: { readonly denoise: string; readonly deno: string; readonly webgpu: string };
  readonly system: {
    readonly os: string;
    readonly cpu: string;
    readonly cores: number;
    readonly memory: number;
  };
  /** Bytes that the adapter computes in, where that is known. */
  readonly memory?: number | undefined;
  readonly features: readonly string[];
  /** Features that Denoise would use and that are not there. */
  readonly lacking: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
  readonly traits: Device["traits"];
}

const WEBGPU = project.imports.webgpu.split("@").at(-1)!;

/** Reads what there is to say of the adapter. */
export async function describeAdapter(device: Device): Promise<AdapterReport> {
  const { gpu, limits, traits } = device;
  const cores = cpus();
  const memory = await memoryOf(device);
  return {
    described: device.describe(),
    adapter: tunedAdapter(device.engine, device.adapter),
    versions: { denoise: version, deno: Deno.version.deno, webgpu: WEBGPU },
    system: {
      os: `${Deno.build.os} ${release()} ${Deno.build.arch}`,
      cpu: cores[0]?.model.trim() ?? "unknown",
      cores: cores.length,
      memory: totalmem(),
    },
    ...memory !== undefined && { memory },
    features: [...gpu.features].sort(),
    lacking: WANTED_FEATURES.filter((feature) => !gpu.features.has(feature)),
    limits: Object.fromEntries(
      Object.keys(Object.getPrototypeOf(limits) ?? {}).concat(Object.keys(limits))
        .flatMap((name) => {
          const value = (limits as unknown as Record<string, unknown>)[name];
          return typeof value === "number" ? [[name, value]] : [];
        }),
    ),
    traits,
  };
}
