import assert from "node:assert/strict";
import { join } from "node:path";
import { Drawer, type DrawerOptions } from "denoise/serve";
import { controlledFolder } from "../../../support/pipeline_folders.ts";

const folder = Deno.makeTempDirSync({ prefix: "denoise-versions-" });
const SD = { name: "sd", path: join(folder, "sd") };

Deno.test.beforeAll(() => controlledFolder(SD.path));
Deno.test.afterAll(() => Deno.removeSync(folder, { recursive: true }));

const small = 80e6; // bytes: for pictures of 32 x 32, and not for large ones
const stored: Record<string, [options: Partial<DrawerOptions>, stored: string]> = {
  "as they were asked for, where there is room for all pictures": [{ memory: 64e9 }, "f32"],
  "as the memory says, where there may be too little": [{ memory: small }, `f32 in ${small} bytes`],
  "as they were asked for, where large pictures are refused": [
    { memory: small, limits: { pixels: 32 * 32 } },
    "f32",
  ],
  "in the bits that were asked for": [{ memory: small, quantize: "int8" }, "f32 int8"],
};
for (const [how, [options, want]] of Object.entries(stored)) {
  Deno.test(`versions tell that a model's weights are stored ${how}`, async () => {
    await using drawer = await Drawer.open({ models: [SD], onNotice: () => {}, ...options });
    const [files, ...got] = drawer.versions()["model"]!["sd"]!.split(" ");
    assert.match(files!, /^[0-9a-f]{16}$/);
    assert.equal(got.join(" "), want);
    assert.equal(drawer.loaded, 0);
  });
}
