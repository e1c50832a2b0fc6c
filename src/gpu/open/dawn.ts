/** Dawn, Chromium's WebGPU, from npm's `webgpu`. */
import { promisify } from "node:util";

/** Toggles: features that are off by default, and precise timestamps. */
const ENABLED = [
  "allow_unsafe_apis",
  "vulkan_enable_f16_on_nvidia",
  "use_vulkan_memory_model",
  "disable_workgroup_init",
];
const DISABLED = ["timestamp_quantization", "enable_spirv_validation"];

/** Dawn's entry point, limited to adapters whose name contains `adapter`; `robust` shaders cannot leave their buffers. */
export async function openDawn(
  { adapter, robust = true }: { adapter?: string | undefined; robust?: boolean | undefined },
): Promise<GPU> {
  const { create, globals } = await loadDawn();
  for (const [name, value] of Object.entries(globals)) {
    if (!(name in globalThis)) Object.defineProperty(globalThis, name, { value, configurable: true });
  }
  calmPolling();
  const enabled = robust ? ENABLED : [...ENABLED, "disable_robustness"];
  const flags = [`enable-dawn-features=${enabled.join()}`, `disable-dawn-features=${DISABLED.join()}`];
  if (adapter) flags.push(`adapter=${adapter}`);
  // The process aborts once this object is collected while a device lives: a reference from a module is not enough. One serves
  // all devices with its flags, as each takes 4 MB that are never given back.
  return (kept.denoiseDawn ??= {})[flags.join(" ")] ??= create(flags) as GPU;
}

/**
 * The package with Dawn's library. A bundler copies its text and leaves the library behind: a bundle asks for the
 * package by a name that no bundler can follow.
 */
async function loadDawn(): Promise<typeof import("webgpu")> {
  try {
    return await import("webgpu");
  } catch (error) {
    const name = DAWN;
    return await import(name).catch(() => {
      throw new DawnMissingError(`its library is not there (${(error as Error).message.split("\n")[0]})`);
    });
  }
}

/** Dawn's library is not where the package webgpu was, nor can the package be had. */
export class DawnMissingError extends Error {
  override name = "DawnMissingError";
}

/** As deno.json has it. */
const DAWN = "npm:webgpu@0.6.2";

const kept = globalThis as {
  denoiseDawn?: Record<string, GPU> | undefined; // by flags
  setImmediate: (run: () => void, ...rest: unknown[]) => unknown;
};

const POLL_MS = 1;
const SETTLE_MS = 10_000; // compilations under way end earlier
const polls = new Map<ReturnType<typeof setTimeout>, () => void>();
let calm = false;

/**
 * While it waits for the GPU, Dawn asks whether work is done in a loop of setImmediate, each time with a new
 * native function. In Deno this keeps a core busy, and freeing some hundred thousand of them at a garbage
 * collection stops the program for seconds (measured: 4 s in every 7 steps of 70 ms). So these callbacks, and
 * no others, are called once a millisecond. Dawn asks for no handle of them.
 */
function calmPolling(): void {
  if (calm) return;
  calm = true;
  const immediate = kept.setImmediate;
  const patient = (run: () => void, ...rest: unknown[]) => {
    if (!isDawns(run)) return immediate(run, ...rest);
    const timer = setTimeout(() => {
      polls.delete(timer);
      run();
    }, POLL_MS);
    polls.set(timer, run);
    return undefined;
  };
  for (const key of ["name", "length", promisify.custom]) {
    Object.defineProperty(patient, key, Object.getOwnPropertyDescriptor(immediate, key)!);
  }
  kept.setImmediate = patient;
}

/**
 * True for a function that an addon made without a name: no other native function without a name and
 * arguments has a prototype; not bound ones, not those that settle promises, not proxies.
 */
function isDawns(run: unknown): boolean {
  return typeof run === "function" && run.name === "" && run.length === 0 &&
    Object.hasOwn(run, "prototype") && Function.prototype.toString.call(run).endsWith("{ [native code] }");
}

/**
 * Polls until Dawn has settled its promises, such as the end of a compilation: the process aborts
 * where a promise of Dawn's is unsettled when its JavaScript ends, as at the end of a test file.
 */
export function settleDawn(): void {
  const end = performance.now() + SETTLE_MS;
  const sleep = new Int32Array(new SharedArrayBuffer(4));
  while (polls.size > 0 && performance.now() < end) {
    for (const [timer, run] of [...polls]) {
      clearTimeout(timer);
      polls.delete(timer);
      run();
    }
    Atomics.wait(sleep, 0, 0, POLL_MS);
  }
}
