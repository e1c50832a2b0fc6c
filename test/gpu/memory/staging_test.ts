import assert from "node:assert/strict";
import type { Device } from "../../../src/gpu/device.ts";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { Staging } from "../../../src/gpu/memory/staging.ts";
import { testOnBothEngines } from "../../support/engines.ts";

const SIZE = 1024;

testOnBothEngines(
  "rooms come to their places in order, more than there are buffers in the ring",
  async (device) => {
    const before = device.buffers.usage();
    const target = device.buffers.create("target", 20 * 256, USAGE);
    const staging = new Staging(device, "test", SIZE);
    for (let i = 0; i < 40; i++) { // the second half is written over the first
      const room = await staging.room(256);
      room.bytes.fill(i + 1);
      staging.copy(room, target, i % 20 * 256);
    }
    await staging.flush();
    const bytes = await bytesOf(device, target);
    for (let i = 0; i < 20; i++) {
      assert.deepEqual([...new Set(bytes.slice(256 * i, 256 * i + 256))], [
        i + 21,
      ]);
    }
    staging.release();
    device.buffers.destroy(target);
    const { count, bytes: live } = device.buffers.usage();
    assert.deepEqual([count, live], [before.count, before.bytes]);
  },
);

testOnBothEngines("a room may be larger than what is sent at once", async (device) => {
  const target = device.buffers.create("target", 8 * SIZE, USAGE);
  const staging = new Staging(device, "test", SIZE);
  for (let i = 0; i < 5; i++) { // the ring is full of small buffers then
    staging.copy(await staging.room(SIZE), target, 0);
  }
  const room = await staging.room(8 * SIZE);
  assert.equal(room.bytes.length, 8 * SIZE);
  room.bytes.fill(7);
  staging.copy(room, target, 0);
  await staging.flush();
  assert.ok((await bytesOf(device, target)).every((byte) => byte === 7));
  staging.release();
});

Deno.test("a staging whose device is closed while the host writes tells so, and writes nowhere", async () => {
  const device = await openDevice();
  const staging = new Staging(device, "test", SIZE);
  const { bytes } = await staging.room(SIZE);
  device[Symbol.dispose]();
  assert.equal(bytes.length, 0);
  await assert.rejects(() => staging.room(SIZE), /^DeviceLostError: Cannot use the device: it was closed/);
});

for (const engine of ["dawn", "deno"] as const) {
  for (const writes of [1, SIZE]) { // a flush of its own, and one for want of room
    Deno.test(`a staging whose device is lost after ${writes} bytes tells so (${engine})`, async () => {
      using device = await openDevice({ engine });
      const target = device.buffers.create("target", SIZE, USAGE);
      const staging = new Staging(device, "test", SIZE);
      staging.copy(await staging.room(SIZE), target, 0);
      await staging.flush();
      await staging.room(writes);
      device.gpu.destroy();
      await assert.rejects(
        async () => {
          if (writes === SIZE) await staging.room(SIZE);
          await staging.flush();
          await device.idle(); // Dawn tells so here
        },
        /^DeviceLostError: Cannot go on: the device .+ was lost \(.+\) while test; open a new one$/,
      );
      staging.release();
    });
  }
}

const USAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

async function bytesOf(device: Device, buffer: GPUBuffer): Promise<Uint8Array> {
  return new Uint8Array(await device.read(buffer, 0, buffer.size));
}
