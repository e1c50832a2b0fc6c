import { expectOptions } from "../core/error.ts";
import { DawnMissingError, openDawn } from "./dawn.ts";
import { Device, type Engine } from "./device.ts";
import { useCachedDriver } from "./driver.ts";
import { NoAdapterError } from "./errors.ts";
import { withoutKnownWarnings } from "./quiet.ts";
import { expectRuntime } from "./runtime.ts";
import { WANTED_FEATURES } from "./types.ts";

/** How to open a device. */
export interface DeviceOptions {
  /** "auto" (default) tries Dawn, then Deno's own WebGPU. */
  engine?: "auto" | Engine | undefined;
  /** Part of the name of the adapter to use, where there are several (Dawn only). */
  adapter?: string | undefined;
  /** Times every dispatch: see `device.profiler`. Each gets a pass of its own, which costs a little. */
  profile?: boolean | undefined;
}

/** Opens a GPU and makes it the current device. Throws NoAdapterError where none opens. */
export async function openDevice(options: DeviceOptions = {}): Promise<Device> {
  expectOptions("open a device", options, ["engine", "adapter", "profile"]);
  expectRuntime();
  expectOptions("open a GPU", options, ["engine", "adapter", "profile"]);
  useCachedDriver();
  const { engine = "auto", profile = false } = options;
  expectEngine(engine);
  const engines: Engine[] = engine === "auto" ? ["dawn", "deno"] : [engine];
  const reasons: string[] = [];
  for (const name of engines) {
    const opened = await open(name, options).catch((error: Error) => error);
    if (!(opened instanceof Error)) {
      const request = async () => (await open(name, options)).gpu;
      return new Device(opened.gpu, opened.info, name, { profile, request });
    }
    reasons.push(`${name}: ${opened.message.split("\n")[0]}`);
    if (opened instanceof DawnMissingError && engines.length > 1) {
      console.warn(`Dawn does not load: ${opened.message}; taking Deno's own WebGPU, which is slower`);
    }
  }
  const wanted = options.adapter ? `an adapter named like "${options.adapter}"` : "an adapter";
  throw new NoAdapterError(
    `Cannot open a GPU: expected ${wanted}, got none (${reasons.join("; ")}); run \`deno task setup\``,
  );
}

function expectEngine(engine: string): void {
  if (["auto", "dawn", "deno"].includes(engine)) return;
  throw new TypeError(`Cannot open a GPU with engine ${engine}: expected "auto", "dawn" or "deno"`);
}

async function open(
  engine: Engine,
  options: DeviceOptions,
): Promise<{ gpu: GPUDevice; info: GPUAdapterInfo }> {
  const api = engine === "dawn" ? await openDawn(options.adapter) : navigator.gpu;
  const adapter = await withoutKnownWarnings(() =>
    api.requestAdapter({ powerPreference: "high-performance" })
  );
  if (!adapter) throw new Error("no adapter");
  const requiredLimits: Record<string, number> = {};
  const limits = adapter.limits as unknown as Record<string, number>;
  for (const name in limits) {
    if (typeof limits[name] === "number") requiredLimits[name] = limits[name];
  }
  const requiredFeatures = WANTED_FEATURES.filter((feature) => adapter.features.has(feature));
  const gpu = await adapter.requestDevice({ label: "denoise", requiredFeatures, requiredLimits });
  return { gpu, info: adapter.info };
}
