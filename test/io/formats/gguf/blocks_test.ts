import assert from "node:assert/strict";
import { openCheckpoint } from "../../../../src/io/formats/checkpoint.ts";
import { toFloats } from "../../../../src/io/formats/numbers.ts";
import { blockOf } from "../../../../src/io/formats/stored_dtype.ts";
import { readTensors } from "../../../support/arrays.ts";
import { fixture } from "../../../support/fixtures.ts";

const expected = await readTensors(fixture("gguf/blocks.safetensors"));
using gguf = await openCheckpoint(fixture("gguf/blocks.gguf"));

for (const info of [...gguf.tensors.values()]) {
  Deno.test(`${info.name} is decoded bit for bit as by the gguf package`, async () => {
    using checkpoint = await openCheckpoint(fixture("gguf/blocks.gguf"));
    const { data } = expected.get(info.name)!;
    const values = toFloats(await checkpoint.read(info, 0, data.length), info.dtype);
    assert.equal(info.dtype, info.name);
    assert.deepEqual(bitsOf(values), bitsOf(data));
  });
}

Deno.test("a piece of a tensor of blocks is some of its whole blocks", async () => {
  using checkpoint = await openCheckpoint(fixture("gguf/blocks.gguf"));
  const info = checkpoint.tensors.get("Q5_1")!;
  const bytes = await checkpoint.read(info, 64, 96);
  assert.equal(bytes.length, 3 * blockOf("Q5_1").bytes);
  assert.deepEqual([...toFloats(bytes, "Q5_1")], [...expected.get("Q5_1")!.data.subarray(64, 160)]);
  assert.throws(() => checkpoint.read(info, 16, 32), {
    message: 'Cannot read "Q5_1": expected whole blocks of 32 elements, got 32 from 16',
  });
});

/** The bits of numbers as f32, so that −0 is not 0. */
function bitsOf(values: ArrayLike<number>): number[] {
  return [...new Uint32Array(Float32Array.from(values).buffer)];
}
