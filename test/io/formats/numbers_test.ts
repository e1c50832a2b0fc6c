import assert from "node:assert/strict";
import { openCheckpoint } from "../../../src/io/formats/checkpoint.ts";
import { HostTable } from "../../../src/io/upload/host_table.ts";
import { toFloats } from "../../../src/io/formats/numbers.ts";
import { codes, scaledFile, torchNumbers } from "../../support/float8.ts";
import { refusalOf, TestFolder } from "../../support/files.ts";

for (const dtype of ["F8_E4M3", "F8_E5M2"] as const) {
  Deno.test(`toFloats() reads all 256 codes of ${dtype} as torch does`, async () => {
    assert.deepEqual([...toFloats(codes, dtype)], await torchNumbers(dtype));
  });
}

Deno.test("HostTable multiplies rows of fp8 by their scales", async () => {
  using folder = new TestFolder();
  const values = [2, 0.5, -1];
  using checkpoint = await openCheckpoint(scaledFile(folder, "a.weight_scale", [3, 1], values));
  const table = new HostTable(checkpoint.tensors.get("a.weight")!);
  await table.fill(checkpoint);
  assert.deepEqual(
    [...table.rows([2, 0])],
    [8, 9, 10, 11].map((i) => -i).concat([0, 1, 2, 3].map((i) => 2 * i)),
  );
});

Deno.test("scales and what stands beside them are no tensors of a model", async () => {
  using folder = new TestFolder();
  using checkpoint = await openCheckpoint(scaledFile(folder, "a.scale_weight", [], [2]));
  assert.deepEqual([...checkpoint.tensors.keys()], ["a.weight"]);
});

Deno.test("scales that are neither one number nor one a row are refused", async () => {
  using folder = new TestFolder();
  assert.match(
    await refusalOf(openCheckpoint(scaledFile(folder, "a.weight_scale", [2], [1, 2]))),
    /expected one scale or one a row for "a.weight", got \[2\]/,
  );
});
