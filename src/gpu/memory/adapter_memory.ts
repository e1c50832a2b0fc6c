import { totalmem } from "node:os";
import type { DeviceBase } from "../device_base.ts";

const MEBIBYTE = 2 ** 20;

/**
 * Bytes of memory that an adapter computes in, where that can be known. WebGPU has no such number, and npm's
 * `webgpu` 0.6.2 leaves out Dawn's list of memory heaps. Software adapters and Apple's GPUs compute in the
 * system's memory; for NVIDIA's GPUs the driver's `nvidia-smi` lists it, where the process may run that. For
 * others it is undefined.
 */
export async function memoryOf({ adapter, traits, adapterName }: DeviceBase): Promise<number | undefined> {
  const vendor = `${adapter.vendor} ${adapterName}`;
  if (traits.software || /apple/i.test(vendor)) return totalmem();
  if (!/nvidia/i.test(vendor)) return undefined;
  const { state } = await Deno.permissions.query({ name: "run", command: "nvidia-smi" });
  return state === "granted" ? nvidiaMemory(await askNvidia(), adapterName) : undefined;
}

/** Output of nvidia-smi: a GPU a line, with its name and MiB. Empty where there is no such program. */
async function askNvidia(): Promise<string> {
  const args = ["--query-gpu=name,memory.total", "--format=csv,noheader,nounits"];
  try {
    const { success, stdout } = await new Deno.Command("nvidia-smi", { args }).output();
    return success ? new TextDecoder().decode(stdout) : "";
  } catch {
    return "";
  }
}

/** Bytes of the GPU of such a name in the list of nvidia-smi; of the smallest one where none is called so. */
export function nvidiaMemory(list: string, name: string): number | undefined {
  const gpus = list.split("\n").flatMap((line) => {
    const [, gpu, mebibytes] = /^(.*), *(\d+)\s*$/.exec(line) ?? [];
    return gpu ? [{ gpu, bytes: Number(mebibytes) * MEBIBYTE }] : [];
  });
  const named = gpus.filter(({ gpu }) => gpu === name);
  const sizes = (named.length ? named : gpus).map(({ bytes }) => bytes);
  return sizes.length ? Math.min(...sizes) : undefined;
}
