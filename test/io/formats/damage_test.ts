import assert from "node:assert/strict";
import { readPng } from "../../../src/io/images/png.ts";
import { openCheckpoint } from "../../../src/io/formats/checkpoint.ts";
import { cpuMs } from "../../support/cpu_time.ts";
import { badFile, refusalOf, seeded, TestFolder } from "../../support/files.ts";

/** Bytes that mean something to one of the formats: lengths, marks, opcodes. */
const meaningful = [0x00, 0x01, 0x7f, 0x80, 0xff, 0x28, 0x2e, 0x52, 0x5b, 0x7b];

for (
  const name of [
    "st_good.safetensors",
    "bin_good.bin",
    "bin_views.bin",
    "bin_good_legacy.bin",
    "png_good.png",
  ]
) {
  Deno.test(`${name} with any bytes changed or cut off loads or is refused in one line, at once`, async () => {
    using folder = new TestFolder();
    const good = Deno.readFileSync(badFile(name));
    const random = seeded(good.length);
    for (let i = 0; i < 400; i++) {
      const bytes = good.slice(0, i % 4 === 0 ? random() * good.length : undefined);
      for (let changes = i % 4; changes >= 0; changes--) {
        const byte = random() < 0.5 ? random() * 256 : meaningful[Math.floor(random() * meaningful.length)]!;
        bytes[Math.floor(random() * bytes.length)] = byte;
      }
      const path = folder.write(name, bytes);
      const ms = await cpuMs(() => readAll(path).catch((error) => refusalOf(Promise.reject(error))));
      assert.ok(ms <= 500, `damage ${i} took ${ms} ms`);
    }
  });
}

async function readAll(path: string): Promise<void> {
  if (path.endsWith(".png")) return void await readPng(path);
  using checkpoint = await openCheckpoint(path);
  for (const info of checkpoint.tensors.values()) {
    const count = info.shape.reduce((product, n) => product * n, 1);
    await checkpoint.read(info, 0, Math.min(count, 1000));
  }
}
