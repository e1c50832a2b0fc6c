import type { Device } from "denoise";
import { measureMatrixPeak, measurePeak, type PeakOptions } from "./peak.ts";

/** The adapter's largest speeds, measured; undefined for abilities that it lacks. */
export interface Speeds {
  /** 10¹² operations a second of arithmetic alone. */
  readonly f32: number;
  readonly f16?: number | undefined;
  readonly matrix?: number | undefined;
  /** 10⁹ bytes a second: read and written by a copy within the adapter's memory, sent there, read back. */
  readonly copy: number;
  readonly upload: number;
  readonly readback: number;
}

/** Measures the adapter's arithmetic and its memory. */
export async function measureSpeeds(device: Device, options: PeakOptions = {}): Promise<Speeds> {
  const { f16, software } = device.traits;
  const bytes = Math.min((software ? 64 : 512) * 2 ** 20, device.limits.maxStorageBufferBindingSize);
  return {
    f32: await measurePeak(device, "f32", options) / 1000,
    ...f16 && { f16: await measurePeak(device, "f16", options) / 1000 },
    ...matrixOf(await measureMatrixPeak(device, options)),
    ...await memorySpeeds(device, bytes, options),
  };
}

function matrixOf(gflops: number | undefined): { matrix?: number } {
  return gflops === undefined ? {} : { matrix: gflops / 1000 };
}

async function memorySpeeds(device: Device, bytes: number, { signal }: PeakOptions) {
  const { buffers, gpu } = device;
  const [from, to] = ["from", "to"].map((name) => buffers.allocate(`copy ${name}`, bytes));
  try {
    const copy = () => {
      const encoder = gpu.createCommandEncoder({ label: "copy" });
      for (let i = 0; i < 4; i++) {
        encoder.copyBufferToBuffer(from!.buffer, from!.offset, to!.buffer, to!.offset, bytes);
      }
      device.submit(encoder, "copying");
    };
    const host = new Uint8Array(Math.min(bytes, 2 ** 27));
    const upload = () => gpu.queue.writeBuffer(from!.buffer, from!.offset, host);
    const readback = () => device.read(from!.buffer, from!.offset, host.length);
    return {
      copy: 8 * bytes / await bestMs(device, copy, signal) / 1e6,
      upload: host.length / await bestMs(device, upload, signal) / 1e6,
      readback: host.length / await bestMs(device, readback, signal) / 1e6,
    };
  } finally {
    from!.release();
    to!.release();
  }
}

async function bestMs(
  device: Device,
  work: () => unknown,
  signal: AbortSignal | undefined,
): Promise<number> {
  let best = Infinity;
  for (let round = 0; round < 4; round++) {
    signal?.throwIfAborted();
    const start = performance.now();
    await work();
    await device.idle();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

/** The larger of two measurements each: the machine may have been busy during one. */
export function fastest(a: Speeds, b: Speeds): Speeds {
  const names = Object.keys({ ...a, ...b }) as (keyof Speeds)[];
  return Object.fromEntries(
    names.map((name) => [name, Math.max(a[name] ?? 0, b[name] ?? 0)]),
  ) as unknown as Speeds;
}
