import assert from "node:assert/strict";
import { totalmem } from "node:os";
import { memoryOf, nvidiaMemory } from "../../../src/gpu/memory/adapter_memory.ts";
import { openDevice } from "../../../src/gpu/open/open.ts";

const list = "NVIDIA H100 80GB HBM3, 81559\nNVIDIA GeForce RTX 4060, 8188\n";

Deno.test("nvidiaMemory() reads the GPU of the adapter's name, else the smallest, from nvidia-smi's list", () => {
  assert.equal(nvidiaMemory(list, "NVIDIA H100 80GB HBM3"), 81559 * 2 ** 20);
  assert.equal(nvidiaMemory(list, "NVIDIA GeForce RTX 4060"), 8188 * 2 ** 20);
  assert.equal(nvidiaMemory(list, "NVIDIA of another name"), 8188 * 2 ** 20);
  assert.equal(nvidiaMemory("Quadro, P400, 2048", "Quadro, P400"), 2048 * 2 ** 20);
});

Deno.test("nvidiaMemory() knows nothing where nvidia-smi lists no GPU", () => {
  for (const text of ["", "No devices were found\n", "NVIDIA A2, [N/A]\n"]) {
    assert.equal(nvidiaMemory(text, "NVIDIA A2"), undefined);
  }
});

Deno.test("memoryOf() takes the system's memory for that of a software adapter", async () => {
  using device = await openDevice();
  if (device.traits.software) assert.equal(await memoryOf(device), totalmem());
});
