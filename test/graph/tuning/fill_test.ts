import assert from "node:assert/strict";
import { fill } from "../../../src/graph/tuning/fill.ts";
import { testOnBothEngines } from "../../support/engines.ts";

const COUNT = 200; // words

/** PCG's output function (Jarzynski and Olano 2020). */
function mixed(i: number): number {
  const state = (Math.imul(i, 747796405) + 2891336453) >>> 0;
  const word = Math.imul((state >>> ((state >>> 28) + 4)) ^ state, 277803737) >>> 0;
  return ((word >>> 22) ^ word) >>> 0;
}

const bits = Array.from({ length: COUNT }, (_, i) => mixed((i + mixed(7)) >>> 0));

testOnBothEngines("fill() gives numbers that follow from the seed alone, of every type", async (device) => {
  const filled = async (dtype: Parameters<typeof fill>[2], scale?: number) => {
    const storage = device.buffers.allocate("filled", 4 * COUNT);
    await fill(device, storage, dtype, 7, scale);
    const data = await device.read(storage.buffer, storage.offset, 4 * COUNT);
    storage.release();
    return data;
  };
  const floats = bits.map((word) => ((word >>> 8) / 2 ** 23 - 1) / 4);
  assert.deepEqual([...new Float32Array(await filled("f32", 1 / 4))], floats);
  const halves = bits.flatMap((word) => [word, word >>> 16].map((half) => ((half & 1023) - 512) / 512));
  assert.deepEqual([...new Float16Array(await filled("f16"))], halves);
  const flags = bits.map((word) => word >>> 31);
  for (const dtype of ["bool", "u32", "i32"] as const) {
    assert.deepEqual([...new Uint32Array(await filled(dtype))], flags);
  }
  const packed = (block: number, half: number) =>
    bits.map((word, i) => i % block === block - 1 ? half + half * 2 ** 16 : word);
  assert.deepEqual([...new Uint32Array(await filled("int8"))], packed(17, 0x3c00), "scales of 1");
  assert.deepEqual([...new Uint32Array(await filled("int4"))], packed(9, 0x3000), "steps of 1/8");
  assert.ok(new Float32Array(await filled("nothing")).every(Number.isNaN));
  assert.ok(new Float16Array(await filled("nothing")).every(Number.isNaN));
});
