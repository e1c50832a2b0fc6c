import assert from "node:assert/strict";
import { openCheckpoint } from "../../../src/io/formats/checkpoint.ts";
import { refusalOf, safetensors, TestFolder } from "../../support/files.ts";

const tensor = { dtype: "U8", shape: [2], data_offsets: [0, 2] };

Deno.test("openCheckpoint() reads the shards of an index as one checkpoint", async () => {
  using folder = new TestFolder();
  const index = writeShards(folder, { a: "1.safetensors", b: "2.safetensors" });
  using checkpoint = await openCheckpoint(index);
  assert.deepEqual([...checkpoint.tensors.keys()], ["a", "b"]);
  assert.deepEqual([...await checkpoint.read(checkpoint.tensors.get("b")!, 0, 2)], [3, 4]);
  assert.deepEqual([...checkpoint.metadata], [["format", "pt"]]);
});

Deno.test("openCheckpoint() takes each tensor from the shard that the index names, and none that it does not", async () => {
  using folder = new TestFolder();
  const both = { a: tensor, b: { ...tensor, data_offsets: [2, 4] } };
  folder.write("1.safetensors", safetensors(both, [1, 2, 9, 9]));
  folder.write(
    "2.safetensors",
    safetensors({ ...both, c: { ...tensor, data_offsets: [4, 6] } }, [8, 8, 3, 4, 7, 7]),
  );
  const weight_map = { a: "1.safetensors", b: "2.safetensors" };
  using checkpoint = await openCheckpoint(
    folder.write("model.safetensors.index.json", JSON.stringify({ weight_map })),
  );
  assert.deepEqual([...checkpoint.tensors.keys()], ["a", "b"]);
  const read = async (name: string) => [...await checkpoint.read(checkpoint.tensors.get(name)!, 0, 2)];
  assert.deepEqual([await read("a"), await read("b")], [[1, 2], [3, 4]]);
});

Deno.test("openCheckpoint() reads a list of files as one checkpoint", async () => {
  using folder = new TestFolder();
  writeShards(folder, {});
  using checkpoint = await openCheckpoint([`${folder.path}/2.safetensors`, `${folder.path}/1.safetensors`]);
  assert.deepEqual([...checkpoint.tensors.keys()], ["b", "a"]);
});

Deno.test("openCheckpoint() tells formats apart by their bytes, not by their names", async () => {
  using folder = new TestFolder();
  using checkpoint = await openCheckpoint(folder.write("model.bin", safetensors({ a: tensor }, [1, 2])));
  assert.deepEqual([...await checkpoint.read(checkpoint.tensors.get("a")!, 0, 2)], [1, 2]);
});

Deno.test("openCheckpoint() refuses a tensor that two files hold", async () => {
  using folder = new TestFolder();
  const path = folder.write("1.safetensors", safetensors({ a: tensor }, [1, 2]));
  assert.match(
    await refusalOf(openCheckpoint([path, path])),
    /each tensor in one file, got "a" in .*1\.safetensors too/,
  );
});

const indices: [string, unknown, RegExp][] = [
  ["an absolute path", { a: "/etc/passwd" }, /"a" to lie in its folder/],
  ["a way up inside", { a: "x/../../1.safetensors" }, /"a" to lie in its folder/],
  ["a Windows path", { a: "..\\1.safetensors" }, /"a" to lie in its folder/],
  ["a number for a file", { a: 3 }, /"a" to lie in its folder, got 3/],
  ["no weight_map", undefined, /a weight_map from tensors to files, got nothing/],
  ["a tensor that its shard lacks", { a: "1.safetensors", b: "1.safetensors" }, /expected "b", as model/],
  ["a folder as shard", { a: "folder" }, /folder: expected a file, got a folder/],
];

for (const [what, map, reason] of indices) {
  Deno.test(`an index with ${what} is refused`, async () => {
    using folder = new TestFolder();
    Deno.mkdirSync(`${folder.path}/folder`);
    assert.match(await refusalOf(openCheckpoint(writeShards(folder, map))), reason);
  });
}

Deno.test("openCheckpoint() names a file that is not there and a folder that is", async () => {
  using folder = new TestFolder();
  assert.match(
    await refusalOf(openCheckpoint(`${folder.path}/x.safetensors`)),
    /x\.safetensors: no such file/,
  );
  assert.match(await refusalOf(openCheckpoint(folder.path)), /expected a file, got a folder/);
});

/** Two shards of one tensor each, and an index over them. */
function writeShards(folder: TestFolder, weight_map: unknown): string {
  folder.write("1.safetensors", safetensors({ __metadata__: { format: "pt" }, a: tensor }, [1, 2]));
  folder.write("2.safetensors", safetensors({ b: tensor }, [3, 4]));
  return folder.write("model.safetensors.index.json", JSON.stringify({ metadata: {}, weight_map }));
}
