import assert from "node:assert/strict";
import { READ_LIMIT } from "../../../src/io/files/binary_file.ts";
import { openCheckpoint } from "../../../src/io/formats/checkpoint.ts";
import { refusalOf, safetensors, TestFolder } from "../../support/files.ts";

const good = { dtype: "F16", shape: [2, 3], data_offsets: [0, 12] };

Deno.test("a safetensors file gives names, types, shapes, bytes and metadata without its tensors", async () => {
  using folder = new TestFolder();
  const header = {
    __metadata__: { format: "pt", note: "猫" },
    b: { dtype: "BOOL", shape: [3], data_offsets: [20, 23] },
    a: good,
    i: { dtype: "I64", shape: [], data_offsets: [12, 20] },
  };
  using checkpoint = await openCheckpoint(
    folder.write("x.safetensors", safetensors(header, new Uint8Array(23))),
  );
  const found = [...checkpoint.tensors.values()].map((
    { name, dtype, shape, bytes },
  ) => [name, dtype, shape, bytes]);
  assert.deepEqual(found, [["b", "BOOL", [3], 3], ["a", "F16", [2, 3], 12], ["i", "I64", [], 8]]);
  assert.deepEqual([...checkpoint.metadata], [["format", "pt"], ["note", "猫"]]);
});

Deno.test("a safetensors file without tensors loads", async () => {
  using folder = new TestFolder();
  using checkpoint = await openCheckpoint(folder.write("x.safetensors", safetensors({})));
  assert.equal(checkpoint.tensors.size, 0);
});

Deno.test("read() gives any piece of a tensor and refuses what is not one", async () => {
  using folder = new TestFolder();
  const data = Array.from({ length: 12 }, (_, i) => i);
  using checkpoint = await openCheckpoint(folder.write("x.safetensors", safetensors({ a: good }, data)));
  const a = checkpoint.tensors.get("a")!;
  assert.deepEqual([...await checkpoint.read(a, 0, 6)], data);
  assert.deepEqual([...await checkpoint.read(a, 4, 2)], [8, 9, 10, 11]);
  assert.deepEqual([...await checkpoint.read(a, 6, 0)], []);
  for (const [first, count] of [[0, 7], [6, 1], [-1, 1], [0, 0.5], [0, -1], [NaN, 1]]) {
    assert.throws(() => checkpoint.read(a, first!, count!), /expected a piece of its 6 elements/);
  }
});

Deno.test("a header with an escaped duplicate key is refused", async () => {
  const entry = JSON.stringify(good);
  assert.match(await refusal(`{"a":${entry},"\\u0061":${entry}}`, 12), /"a" once, got it twice/);
});

const wrong: [string, unknown, RegExp][] = [
  ["metadata that is not a string", { __metadata__: { step: 3 }, a: good }, /strings in __metadata__, got 3/],
  ["metadata that is a list", { __metadata__: ["pt"], a: good }, /strings in __metadata__/],
  [
    "a type that is not read",
    { a: { ...good, dtype: "F8_E8M0" } },
    /expected dtype of "a" to be one of BOOL, .*, got "F8_E8M0"; take a file in one of these$/,
  ],
  ["a name of 2000 letters", { ["t".repeat(2000)]: good }, /names of tensors of at most 1000 letters/],
  ["an entry that is a number", { a: 3 }, /dtype of "a"/],
  ["an entry that is null", { a: null }, /dtype of "a"/],
  ["a shape with a fraction", { a: { ...good, shape: [1.5] } }, /shape of "a".*got \[1\.5\]/],
  ["a shape of 2^53", { a: { ...good, shape: [2 ** 53] } }, /shape of "a"/],
  [
    "a shape that overflows before a zero",
    { a: { ...good, shape: [2 ** 40, 2 ** 40, 0] } },
    /less than 2\^53/,
  ],
  ["three offsets", { a: { ...good, data_offsets: [0, 6, 12] } }, /data_offsets of "a"/],
  [
    "a first tensor behind byte 0",
    { a: { ...good, data_offsets: [4, 16] } },
    /expected "a" to begin at byte/,
  ],
  ["a name of many lines", { ["x\n\u2028".repeat(100)]: 3 }, /^[^\u2028]+$/],
  ["nesting that would overflow a stack", `{"a":${"[".repeat(1e6)}`, /at most 128 levels/],
];

for (const [what, header, reason] of wrong) {
  Deno.test(`a safetensors header with ${what} is refused`, async () => {
    assert.match(await refusal(header, 12), reason);
  });
}

Deno.test("a safetensors file that shrinks while it is open is refused", async () => {
  using folder = new TestFolder();
  const path = folder.write("x.safetensors", safetensors({ a: good }, new Uint8Array(12)));
  using checkpoint = await openCheckpoint(path);
  Deno.truncateSync(path, 70);
  assert.match(
    await refusalOf(checkpoint.read(checkpoint.tensors.get("a")!, 0, 6)),
    /as when it was opened, got fewer/,
  );
});

Deno.test("a safetensors file of 2.5 GiB is read in pieces, several at a time", async () => {
  using folder = new TestFolder();
  const elements = 2.5 * 2 ** 30 / 4;
  const header = { a: { dtype: "F32", shape: [elements / 1024, 1024], data_offsets: [0, elements * 4] } };
  const bytes = safetensors(header);
  const path = folder.write("x.safetensors", bytes);
  Deno.truncateSync(path, bytes.length + elements * 4); // sparse: takes no room on the disk
  using file = Deno.openSync(path, { write: true });
  const marks = [0, 2 ** 29 + 1, elements - 1]; // the second lies beyond 2 GiB
  for (const mark of marks) {
    file.seekSync(bytes.length + mark * 4, Deno.SeekMode.Start);
    file.writeSync(new Uint8Array(Float32Array.of(mark + 1).buffer));
  }
  using checkpoint = await openCheckpoint(path);
  const a = checkpoint.tensors.get("a")!;
  assert.equal(a.bytes, 2.5 * 2 ** 30);
  const pieces = await Promise.all(marks.map((mark) => checkpoint.read(a, mark, 1)));
  const found = pieces.map((piece) => new Float32Array(piece.buffer)[0]);
  assert.deepEqual(found, marks.map((mark) => Math.fround(mark + 1)));
  assert.equal((await checkpoint.read(a, 2 ** 29, READ_LIMIT / 4)).length, READ_LIMIT);
  assert.throws(() => checkpoint.read(a, 0, READ_LIMIT / 4 + 1), /at most 67108864 bytes a piece/);
});

async function refusal(header: unknown, dataLength: number): Promise<string> {
  using folder = new TestFolder();
  const path = folder.write("x.safetensors", safetensors(header, new Uint8Array(dataLength)));
  return await refusalOf(openCheckpoint(path));
}
