import assert from "node:assert/strict";
import { type Checkpoint, openCheckpoint } from "../../../src/io/formats/checkpoint.ts";
import type { StoredTensor } from "../../../src/io/formats/stored_tensor.ts";
import {
  asMatrix,
  sliceRows,
  splitRows,
  swappedHalves,
  transposed,
} from "../../../src/io/formats/stored_view.ts";
import { fixture } from "../../support/fixtures.ts";
import { readRaw, safetensorsOf } from "../../support/raw_tensors.ts";
import { TestFolder } from "../../support/files.ts";

const values = Float32Array.from({ length: 24 }, (_, i) => i);

/** What a view of "a" [6, 4] in F32, which holds 0 to 23, reads in one piece, and its shape. */
async function viewed(view: (a: StoredTensor) => StoredTensor): Promise<[number[], readonly number[]]> {
  using folder = new TestFolder();
  const a = { dtype: "F32", shape: [6, 4], bytes: new Uint8Array(values.buffer) };
  const path = folder.write("a.safetensors", safetensorsOf(new Map([["a", a]])));
  using checkpoint = await openCheckpoint(path, (tensors) => new Map([["a", view(tensors.get("a")!)]]));
  const info = checkpoint.tensors.get("a")!;
  const bytes = await checkpoint.read(info, 0, info.bytes / 4);
  return [[...new Float32Array(bytes.buffer)], info.shape];
}

const from = (begin: number, end: number) => [...values.subarray(begin * 4, end * 4)];

Deno.test("sliceRows() reads some rows, also of rows that were taken before and across their parts", async () => {
  assert.deepEqual(await viewed((a) => sliceRows(a, 1, 4)), [from(1, 4), [3, 4]]);
  assert.deepEqual(await viewed((a) => sliceRows(sliceRows(a, 1, 5), 2, 4)), [from(3, 5), [2, 4]]);
  assert.deepEqual(await viewed((a) => sliceRows(swappedHalves(a), 2, 5)), [[...from(5, 6), ...from(0, 2)], [
    3,
    4,
  ]]);
});

Deno.test("swappedHalves() twice is what it was", async () => {
  assert.deepEqual(await viewed(swappedHalves), [[...from(3, 6), ...from(0, 3)], [6, 4]]);
  assert.deepEqual(await viewed((a) => swappedHalves(swappedHalves(a))), [[...values], [6, 4]]);
});

Deno.test("transposed() reads rows as columns, also of some rows", async () => {
  const column = (i: number, rows: number[]) => rows.map((row) => row * 4 + i);
  assert.deepEqual(await viewed((a) => transposed(sliceRows(a, 2, 4))), [
    [0, 1, 2, 3].flatMap((i) => column(i, [2, 3])),
    [4, 2],
  ]);
});

Deno.test("asMatrix() drops axes of one element and no others", () => {
  const shaped = (shape: number[]) => asMatrix({ ...tensor(), shape }).shape;
  assert.deepEqual([[2, 3, 1, 1], [2, 3, 1], [2, 3], [2, 3, 3, 3]].map(shaped), [[2, 3], [2, 3], [2, 3], [
    2,
    3,
    3,
    3,
  ]]);
});

Deno.test("a scale a row goes with its rows, one scale with all of them", () => {
  const scale = { ...tensor("scale"), shape: [6, 1], places: [{ ...place, shape: [6, 1], strides: [1, 1] }] };
  const scaled = {
    ...tensor(),
    shape: [6, 4],
    places: [{ ...place, shape: [6, 4], strides: [4, 1] }],
    scale,
  };
  assert.deepEqual(sliceRows(scaled, 2, 5).scale!.places, [{
    ...place,
    offset: 8,
    shape: [3],
    strides: [1],
  }]);
  const one = { ...scaled, scale: { ...tensor("scale"), shape: [] } };
  assert.equal(sliceRows(one, 2, 5).scale, one.scale);
  const [first, second] = swappedHalves(scaled).scale!.places;
  assert.deepEqual([first!.offset, second!.offset], [12, 0]);
});

Deno.test("views refuse rows that do not add up, halves of odd rows, and cuts through blocks", async () => {
  await assert.rejects(
    viewed((a) => splitRows(a, [2, 3])[0]!),
    /Cannot split "a": expected 2 \+ 3 rows, got 6/,
  );
  await assert.rejects(viewed((a) => swappedHalves(sliceRows(a, 0, 5))), /expected 2.5 \+ 2.5 rows, got 5/);
  using gguf: Checkpoint = await openCheckpoint(fixture("gguf/blocks.gguf"), (tensors) => {
    assert.throws(() => transposed(tensors.get("Q8_0")!), /expected a matrix of single elements, got Q8_0/);
    const flattened = { ...tensors.get("Q8_0")!, shape: [32, 16] };
    assert.throws(() => sliceRows(flattened, 1, 2), /expected rows of whole Q8_0 blocks, got 16 elements/);
    return new Map([["rows", { ...sliceRows(tensors.get("Q8_0")!, 1, 2), name: "rows" }]]);
  });
  const whole = (await readRaw(fixture("gguf/blocks.gguf"))).get("Q8_0")!.bytes;
  assert.deepEqual(await gguf.read(gguf.tensors.get("rows")!, 0, 256), whole.slice(whole.length / 2));
});

const place = { file: undefined as never, offset: 0 };

/** A tensor of which nothing is read. */
function tensor(name = "a"): StoredTensor {
  return {
    name,
    dtype: "F32",
    shape: [2],
    bytes: 8,
    places: [{ ...place, shape: [2, 3, 1, 1], strides: [3, 1, 1, 1] }],
  };
}
