import assert from "node:assert/strict";
import { OutOfMemoryError } from "../../src/gpu/errors.ts";
import { tensor } from "../../src/tensor/mod.ts";
import { testOnBothEngines } from "../support/engines.ts";
import { inject } from "../support/faults.ts";

testOnBothEngines("memory that the GPU has not is asked for by name, and told once", async (device) => {
  const x = tensor(new Float32Array(1 << 18));
  await x.add(1).data();
  const inUse = device.buffers.usage().bytes;
  inject(device, { allocation: "weights 3" });
  device.buffers.create("weights 3", 3e6, GPUBufferUsage.STORAGE);
  device.buffers.create("later", 16, GPUBufferUsage.STORAGE);
  const error = await device.idle().then(() => undefined, (error) => error);
  assert.ok(error instanceof OutOfMemoryError, String(error));
  assert.deepEqual([error.wanted, error.inUse], [3e6, inUse]);
  assert.match(
    error.message,
    /^Cannot allocate weights 3: expected room for 3\.0 MB on .+, got none beside \d\.\d MB in use \((.+ \d\.\d MB(, )?){1,4}\); draw smaller pictures or fewer at once, or let models take less by the options memory, quantize or stream$/,
  );
  await device.idle();
  assert.equal(await x.add(1).sum().item(), 1 << 18);
});
