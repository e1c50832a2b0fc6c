import { expectOptions } from "../../core/error.ts";
import { DawnMissingError, openDawn } from "./dawn.ts";
import { Device, type KernelChoice } from "../device.ts";
import { useCachedDriver } from "./driver.ts";
import { NoAdapterError } from "../errors.ts";
import { misfitOf, type OpenedDevice } from "./misfit.ts";
import { withoutKnownWarnings } from "./quiet.ts";
import { expectRuntime } from "./runtime.ts";
import { replaceShaders } from "../shader/replace_shader.ts";
import { shadersIn } from "../shader/shaders_folder.ts";
import { type Engine, isSoftware, WANTED_FEATURES } from "../traits.ts";
import { tunedAdapter } from "../tunings/tunings.ts";
import { readTunings } from "../tunings/tunings_file.ts";

/** Options of openDevice(). */
export interface DeviceOptions {
  /** "auto" (default) tries Dawn, then Deno's own WebGPU. */
  engine?: "auto" | Engine | undefined;
  /** Part of the name of the adapter to use, where there are several (Dawn only). */
  adapter?: string | undefined;
  /** Times every dispatch: see `device.profiler`. Each gets a pass of its own, which costs a little. */
  profile?: boolean | undefined;
  /**
   * "finite" counts NaN and infinity in the result of every dispatch. Where there is one, what waits for results throws a
   * NonFiniteError: it names the first such dispatch, its inputs, and where the number comes from. A step takes up to twice
   * as long.
   */
  check?: "finite" | undefined;
  /**
   * Which of several kernels for an operator runs. "cached" (default): the one that was the fastest when they
   * were measured on this adapter, else the best guess. "now": the same, and kernels of a model that were not
   * measured yet are measured before its first run, and the times kept. "off": the best guess.
   */
  tune?: KernelChoice["tune"] | undefined;
  /** Part of the names of kernels that are taken wherever they are right, e.g. "matrix"; for tests and comparisons. */
  candidate?: string | undefined;
  /**
   * True to check every access of a shader to memory (Dawn only). On a GPU that makes inner loops up to four
   * times as long, so it is off by default there: the bounds of Denoise's own shaders are tested; take true
   * for shaders of your own. On software adapters it is on: shaders compile faster with it there, and a stray
   * access would end the process.
   */
  robust?: boolean | undefined;
  /**
   * A folder of shaders of your own that stand in front of those of `shaders/`, each under its path there, e.g.
   * FOLDER/norm/softmax.wgsl; see `replaceShader`.
   */
  shaders?: string | undefined;
}

const OPTIONS = [
  "engine",
  "adapter",
  "profile",
  "check",
  "tune",
  "candidate",
  "robust",
  "shaders",
] as const;
const TUNINGS = ["off", "cached", "now"];

/** Opens a GPU and makes it the current device. Throws NoAdapterError where none opens. */
export async function openDevice(options: DeviceOptions = {}): Promise<Device> {
  expectOptions("open a device", options, OPTIONS);
  expectRuntime();
  useCachedDriver();
  const { engine = "auto", adapter, profile = false, check, tune = "cached", candidate } = options;
  expectEngine(engine);
  if (engine === "deno" && adapter) {
    throw new TypeError(
      `Cannot open a GPU with adapter ${adapter} and engine deno: only Dawn takes one by its name; leave one of both out`,
    );
  }
  if (check !== undefined && check !== "finite") {
    throw new TypeError(`Cannot open a GPU with check ${check}: expected "finite", or nothing`);
  }
  if (!TUNINGS.includes(tune)) {
    throw new TypeError(`Cannot open a GPU with tune ${tune}: expected "off", "cached" or "now"`);
  }
  const engines: Engine[] = engine !== "auto" ? [engine] : adapter ? ["dawn"] : ["dawn", "deno"];
  const texts = options.shaders === undefined ? undefined : await shadersIn(options.shaders);
  const reasons: string[] = [];
  for (const name of engines) {
    const opened = await open(name, options).catch((error: Error) => error);
    if (!(opened instanceof Error)) {
      const request = async () => {
        const again = await open(name, options).catch((error: Error) => error);
        const why = again instanceof Error ? again.message : misfitOf(opened, again, name);
        if (!(again instanceof Error)) {
          if (!why) return again.gpu;
          again.gpu.destroy();
        }
        throw new NoAdapterError(`Cannot open ${nameOf(opened.info)} again: ${why}; start the program anew`);
      };
      const tunings = tune === "off" ? undefined : readTunings(tunedAdapter(name, opened.info));
      const device = new Device(opened.gpu, opened.info, name, {
        profile,
        check,
        choice: { tune, candidate },
        tunings,
        request,
      });
      if (texts) await replaceShaders(device, texts).catch((error) => closed(device, error));
      return device;
    }
    reasons.push(`${name}: ${opened.message.split("\n")[0]}`);
    if (opened instanceof DawnMissingError && engines.length > 1) {
      console.warn(`Dawn does not load: ${opened.message}; taking Deno's own WebGPU, which is slower`);
    }
  }
  const other = adapter && await requestAdapter("dawn", {}).catch(() => undefined);
  throw new NoAdapterError(
    other
      ? `Cannot open a GPU: expected an adapter named like "${adapter}", got "${nameOf(other.info)}"; ` +
        "name a part of it, in its capitals, or none"
      : `Cannot open a GPU: expected an adapter, got none (${reasons.join("; ")}); run \`deno task setup\``,
  );
}

function closed(device: Device, error: unknown): never {
  device[Symbol.dispose]();
  throw error;
}

function nameOf({ device, description }: GPUAdapterInfo): string {
  return device || description;
}

function expectEngine(engine: string): void {
  if (["auto", "dawn", "deno"].includes(engine)) return;
  throw new TypeError(`Cannot open a GPU with engine ${engine}: expected "auto", "dawn" or "deno"`);
}

async function requestAdapter(engine: Engine, options: DeviceOptions): Promise<GPUAdapter> {
  const api = engine === "dawn" ? await openDawn(options) : navigator.gpu;
  const adapter = await withoutKnownWarnings(() =>
    api.requestAdapter({ powerPreference: "high-performance" })
  );
  if (!adapter) throw new Error("no adapter");
  return adapter;
}

async function open(engine: Engine, options: DeviceOptions): Promise<OpenedDevice> {
  let adapter = await requestAdapter(engine, { ...options, robust: true });
  if (engine === "dawn" && !(options.robust ?? isSoftware(adapter.info))) {
    adapter = await requestAdapter(engine, { ...options, robust: false });
  }
  const requiredLimits: Record<string, number> = {};
  const limits = adapter.limits as unknown as Record<string, number>;
  for (const name in limits) {
    if (typeof limits[name] === "number") requiredLimits[name] = limits[name];
  }
  const requiredFeatures = WANTED_FEATURES.filter((feature) => adapter.features.has(feature));
  const gpu = await adapter.requestDevice({ label: "denoise", requiredFeatures, requiredLimits });
  return { gpu, info: adapter.info };
}
