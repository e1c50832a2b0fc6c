import type { Device } from "../../src/gpu/device.ts";
import { openDevice } from "../../src/gpu/open/open.ts";

/** A device that is open while the tests of the file run that imports it. */
export let device: Device;

Deno.test.beforeAll(async () => {
  device = await openDevice();
});
Deno.test.afterAll(() => device[Symbol.dispose]());
