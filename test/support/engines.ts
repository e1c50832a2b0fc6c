import type { Device, Engine } from "../../src/gpu/device.ts";
import { openDevice } from "../../src/gpu/open.ts";

const ENGINES: readonly Engine[] = ["dawn", "deno"];

/** Registers one test on Dawn and one on Deno's own WebGPU. */
export function testOnBothEngines(name: string, run: (device: Device) => Promise<void>): void {
  for (const engine of ENGINES) {
    Deno.test(`${name} (${engine})`, async () => {
      using device = await openDevice({ engine });
      await run(device);
    });
  }
}

/** Makes operators choose their forms for GPUs, which a software adapter can run too. */
export function asGpu(device: Device): void {
  Object.assign(device.traits, { software: false, joins: true });
}
