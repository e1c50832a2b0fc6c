import type { Device } from "../../src/gpu/device.ts";
import type { Engine } from "../../src/gpu/traits.ts";
import { openDevice } from "../../src/gpu/open/open.ts";

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

/** Makes operators choose their forms for GPUs, which a software adapter can run too, and with their loops written out. */
export function asGpu(device: Device): void {
  Object.assign(device.traits, { software: false, unrolls: false, joins: true });
}

/** Registers a test that runs where an adapter has matrix units: on a machine without a GPU Mesa 26's software adapter has. */
export function testOnMatrixUnits(name: string, run: () => Promise<void>): void {
  Deno.test(name, async () => {
    {
      using device = await openDevice();
      if (device.traits.matrices.length === 0) {
        console.log(`not run: ${device.adapterName} has no matrix units`);
        return;
      }
    }
    await run();
  });
}

/** Adapters as which the one at hand can run: what `selectKernel` goes by. */
export const ADAPTERS: Readonly<Record<string, (device: Device) => void>> = {
  "as it is": () => {},
  "a GPU": asGpu,
  "a GPU without subgroups": (device) => {
    asGpu(device);
    Object.assign(device.traits, { lanes: 0, subgroups: undefined });
  },
};
