import assert from "node:assert/strict";
import { join } from "node:path";
import { readPng } from "../../src/io/images/png.ts";
import { inFolder, runScript } from "../support/script.ts";

const grid = join(import.meta.dirname!, "../../docs/grid.png");

Deno.test("custom_kernel.ts swirls a picture about its middle, and leaves its corners", () =>
  inFolder(async (folder) => {
    const { code, stdout, stderr } = await runScript(folder, "custom_kernel.ts"); // the grid, from any folder
    assert.equal(code, 0, stderr);
    assert.equal(stdout, "swirl.png\n");
    const [before, after] = [await readPng(grid), await readPng(join(folder, "swirl.png"))];
    assert.deepEqual([after.width, after.height], [before.width, before.height]);
    const pixel = ({ data, width }: typeof before, x: number, y: number) => {
      const at = 4 * (y * width + x); // RGBA
      return [...data.subarray(at, at + 3)];
    };
    for (const [x, y] of [[30, 30], [before.width - 30, before.height - 30]] as const) {
      assert.deepEqual(pixel(after, x, y), pixel(before, x, y));
    }
    const [x, y] = [before.width / 2 + 10, before.height / 2 + 40];
    assert.notDeepEqual(pixel(after, x, y), pixel(before, x, y));
  }));
