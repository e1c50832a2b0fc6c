import assert from "node:assert/strict";
import { openCheckpoint } from "../../../src/io/formats/checkpoint.ts";
import { HostTable } from "../../../src/io/upload/host_table.ts";
import { readTensors } from "../../support/arrays.ts";
import { fixture } from "../../support/fixtures.ts";

const key = "embeddings.token_embedding.weight";

for (
  const [file, name] of [["quick_gelu", `text_model.${key}`], ["bf16", `text_model.${key}`], [
    "no_prefix_f32",
    key,
  ]]
) {
  Deno.test(`HostTable gives rows of ${file} by their numbers`, async () => {
    const path = fixture(`clip_text/weights/${file}.safetensors`);
    const { data, shape: [, D] } = (await readTensors(path)).get(name!)!;
    using checkpoint = await openCheckpoint(path);
    const table = new HostTable(checkpoint.tensors.get(name!)!);
    await table.fill(checkpoint);
    const row = (i: number) => [...data.subarray(i * D!, (i + 1) * D!)];
    assert.deepEqual([...table.rows([39, 0, 39])], [...row(39), ...row(0), ...row(39)]);
  });
}

Deno.test("HostTable refuses types that are no weights, and rows once it was released", () => {
  const info = { name: "ids", shape: [2, 2], bytes: 32 } as const;
  assert.throws(() => new HostTable({ ...info, dtype: "I64" }), {
    message: 'Cannot load "ids": expected a table of floating-point numbers or blocks, got I64',
  });
  assert.throws(() => new HostTable({ ...info, dtype: "F64" }).rows([0]), {
    message: 'Cannot read "ids": its rows are not in memory; load the model first',
  });
});
