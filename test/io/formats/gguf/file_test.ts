import assert from "node:assert/strict";
import { openCheckpoint } from "../../../../src/io/formats/checkpoint.ts";
import { fixture } from "../../../support/fixtures.ts";
import { ggufFile, type GgufParts, ggufString, type GgufTensor } from "../../../support/gguf.ts";
import { join, little, refusalOf, TestFolder } from "../../../support/files.ts";

const row: GgufTensor = { name: "a", shape: [2, 3], type: 0, data: new Uint8Array(24) };
const list = (type: number, count: number | bigint, values: ArrayLike<number> = []) =>
  join(little(type, 4), little(count, 8), values);

Deno.test("openCheckpoint() reads what the gguf package wrote", async () => {
  using checkpoint = await openCheckpoint(fixture("gguf/blocks.gguf"));
  assert.deepEqual(checkpoint.tensors.get("Q4_0"), {
    ...checkpoint.tensors.get("Q4_0")!,
    ...{ name: "Q4_0", dtype: "Q4_0", shape: [2, 256], bytes: 288 },
  });
  assert.deepEqual([...checkpoint.metadata].filter(([key]) => key.startsWith("a.")), [
    ["a.text", "ä"],
    ["a.flag", "true"],
    ["a.number", "-0.5"],
  ]);
});

Deno.test("GGUF 2 is read as GGUF 3 is, and axes come in torch's order", async () => {
  for (const version of [2, 3]) {
    using folder = new TestFolder();
    const data = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
    const file = ggufFile({ version, tensors: [{ ...row, data }, { ...row, name: "b", data }] });
    using checkpoint = await openCheckpoint(folder.write("x.bin", file));
    const info = checkpoint.tensors.get("b")!;
    assert.deepEqual(info.shape, [2, 3]);
    assert.deepEqual(await checkpoint.read(info, 0, 6), data);
  }
});

Deno.test("a flattened convolution has the shape that ComfyUI-GGUF noted", async () => {
  using checkpoint = await openCheckpoint(fixture("gguf/blocks.gguf"));
  assert.deepEqual(checkpoint.tensors.get("Q4_1")!.shape, [4, 32, 2, 2]);
});

Deno.test("a header longer than a window is read", async () => {
  using folder = new TestFolder();
  const text = "x".repeat(900_000);
  const metadata = ["a", "b", "c"].map((key) => [key, 8, ggufString(key + text)] as const);
  using checkpoint = await openCheckpoint(folder.write("x.gguf", ggufFile({ metadata, tensors: [row] })));
  assert.deepEqual([...checkpoint.metadata.keys()], ["a", "b", "c"]);
  assert.equal(checkpoint.metadata.get("c")!.slice(0, 2), "cx");
  assert.deepEqual([...checkpoint.tensors.keys()], ["a"]);
});

const refused: [string, GgufParts, RegExp][] = [
  ["version 1", { version: 1 }, /expected GGUF version 2 or 3 in little-endian order, got 1/],
  ["big-endian numbers", { version: 0x03000000 }, /expected GGUF version 2 or 3 .* got 50331648/],
  ["2^62 tensors", { tensorCount: 2n ** 62n }, /at most 100000 tensors, got 4611686018427387904/],
  ["more tensors than it has", { tensors: [row], tensorCount: 2 }, /header of at least|behind byte 4/],
  ["2^62 keys", { keyCount: 2n ** 62n }, /at most 100000 keys/],
  [
    "a key twice",
    { metadata: [["k", 0, little(1, 2).slice(0, 1)], ["k", 0, new Uint8Array(1)]] },
    /"k" once/,
  ],
  ["a value of no type", { metadata: [["k", 13, new Uint8Array(8)]] }, /a type of GGUF's for "k", got 13/],
  ["a list of lists", { metadata: [["k", 9, list(9, 1)]] }, /no list of lists in "k"/],
  ["a list of 2^62", { metadata: [["k", 9, list(0, 2n ** 62n)]] }, /at most 16777216 elements of "k"/],
  ["a list past its end", { metadata: [["k", 9, list(0, 1e6)]] }, /header of at least/],
  ["a string past its end", { metadata: [["k", 8, little(1e6, 8)]] }, /header of at least/],
  ["a string of 2^62 bytes", { metadata: [["k", 8, little(2n ** 62n, 8)]] }, /at most 16777216 bytes/],
  ["text that is no UTF-8", { metadata: [["k", 8, join(little(1, 8), [0xff])]] }, /in UTF-8/],
  [
    "an alignment of 0",
    { metadata: [["general.alignment", 4, little(0, 4)]], tensors: [row] },
    /multiple of 8/,
  ],
  ["an alignment of 2^31", { metadata: [["general.alignment", 4, little(2 ** 31, 4)]] }, /multiple of 8/],
  ["five axes", { tensors: [{ ...row, shape: [1, 1, 1, 2, 3] }] }, /at most 4 axes of "a", got 5/],
  ["an axis of 2^63", { tensors: [{ ...row, shape: [2n ** 63n] }] }, /elements along an axis of "a"/],
  ["a shape beyond 2^53", { tensors: [{ ...row, shape: [2 ** 40, 2 ** 40] }] }, /less than 2\^53 bytes/],
  ["a type that is not built", { tensors: [{ ...row, type: 16 }] }, /got ggml's type 16/],
  ["a row of half a block", { tensors: [{ ...row, shape: [2, 16], type: 8 }] }, /whole Q8_0 blocks of "a"/],
  ["a place that is not aligned", { tensors: [{ ...row, offset: 8 }] }, /multiple of 32 bytes, got 8/],
  ["a place past its end", { tensors: [{ ...row, offset: 32 }] }, /"a" within the file's/],
  ["a place at 2^63", { tensors: [{ ...row, offset: 2n ** 63n }] }, /bytes before "a"/],
  ["tensors on each other", {
    tensors: [{ ...row, shape: [4, 4], data: new Uint8Array(64) }, { ...row, name: "b", offset: 32 }],
  }, /"b" behind byte 64/],
  ["a name twice", { tensors: [row, row] }, /one tensor named "a", got two/],
  ["data cut off", { tensors: [row], cut: 9 }, /"a" within the file's/],
  ["another count in the noted shape", {
    tensors: [row],
    metadata: [["comfy.gguf.orig_shape.a", 9, list(5, 1, little(7, 4))]],
  }, /shape of "a" to hold the elements/],
];

for (const [what, parts, reason] of refused) {
  Deno.test(`a GGUF file with ${what} is refused`, async () => {
    using folder = new TestFolder();
    assert.match(await refusalOf(openCheckpoint(folder.write("x.gguf", ggufFile(parts)))), reason);
  });
}

Deno.test("a GGUF file that ends anywhere in its header is refused", async () => {
  const whole = ggufFile({ tensors: [row], metadata: [["k", 8, ggufString("value")]] });
  for (let length = 4; length < whole.length - 8; length++) {
    using folder = new TestFolder();
    await refusalOf(openCheckpoint(folder.write("x.gguf", whole.slice(0, length))));
  }
});
