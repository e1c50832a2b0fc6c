import assert from "node:assert/strict";
import { type Checkpoint, openCheckpoint } from "../../../src/io/formats/checkpoint.ts";
import { readJson } from "../../../src/io/config.ts";
import { readPng } from "../../../src/io/images/png.ts";
import { cpuMs } from "../../support/cpu_time.ts";
import { badFile, refusalOf } from "../../support/files.ts";

/** Cases of whole models, which their own tests read. */
const otherTests = /^(unet_|lora_|tokenizer_)/;

const { files } = await readJson(badFile("meta.json")) as { files: { file: string; expect: string }[] };

for (const { file, expect } of files.filter(({ file }) => !otherTests.test(file))) {
  const refused = expect.startsWith("must be refused");
  Deno.test(`${file} ${refused ? "is refused in one line" : "loads"}`, async () => {
    const ms = await cpuMs(async () => {
      if (refused) assert.match(await refusalOf(read(file)), reasons[file] ?? /expected .+, got /);
      else await read(file);
    });
    assert.ok(ms < 1000, `took ${ms} ms`);
  });
}

async function read(file: string): Promise<void> {
  if (file.endsWith(".png")) {
    const { width, height } = await readPng(badFile(file));
    assert.deepEqual([width, height], [30, 40]);
  } else if (file.startsWith("config_")) {
    await readJson(badFile(`${file}config.json`));
  } else {
    using checkpoint = await openCheckpoint(badFile(file));
    const expected = values[file];
    if (!expected) return;
    assert.deepEqual(new Set(checkpoint.tensors.keys()), new Set(Object.keys(expected)));
    for (const [name, numbers] of Object.entries(expected)) {
      assert.deepEqual(await readNumbers(checkpoint, name), numbers, name);
    }
  }
}

const from0 = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
const from12 = from0.map((n) => n + 12);
const ones = [1, 1, 1, 1, 1, 1];

/** What the files that load hold; 12 is the set's `bad_n`. */
const values: Record<string, Record<string, number[]>> = {
  "st_good.safetensors": { a: from0, b: from12 },
  "st_padded_header.safetensors": { a: from0, b: from12 },
  "st_metadata.safetensors": { a: from0, b: from12 },
  "st_proto_key.safetensors": Object.fromEntries([["__proto__", from0], ["constructor", from12]]),
  "st_zero_size.safetensors": { z: [], s: [0] },
  "bin_good.bin": { a: from0, b: ones },
  "bin_good_legacy.bin": { a: from0, b: ones },
  "bin_views.bin": {
    a: from0,
    nc: [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11],
    view: [5, 6, 7, 8, 9, 10],
    half: [0, 1, 2, 3],
    bf16: [0, 1, 2, 3],
    i64: [0, 1, 2, 3],
  },
};

/** Where the reason matters. */
const reasons: Record<string, RegExp> = {
  "shards_missing/model.safetensors.index.json": /model-00002-of-00002\.safetensors, got no such file/,
  "shards_traversal/model.safetensors.index.json":
    /"a" to lie in its folder, got "\.\.\/st_good\.safetensors"/,
  "shards_wrong_map/model.safetensors.index.json": /expected "zzz"/,
  "st_duplicate_keys.safetensors": /expected the key "a" once, got it twice at line 1, column 63/,
  "st_shape_mismatch.safetensors": /expected 52 bytes for "b"/,
  "bin_os_system_raw.pkl": /got "posix\.system"/,
  "bin_os_system.bin": /got "posix\.system"/,
  "bin_eval.bin": /got "__builtin__\.eval"/,
  "bin_zip_bomb.bin": /got it compressed/,
  "bin_missing_storage.bin": /storage "1"/,
  "config_truncated/": /a value for "sample_size", got the end of the text at line 1, column 47/,
};

async function readNumbers(checkpoint: Checkpoint, name: string): Promise<number[]> {
  const info = checkpoint.tensors.get(name)!;
  const count = info.shape.reduce((product, n) => product * n, 1);
  const { buffer } = await checkpoint.read(info, 0, count);
  switch (info.dtype) {
    case "F32":
      return [...new Float32Array(buffer)];
    case "F16":
      return [...new Float16Array(buffer)];
    case "BF16":
      return [...new Uint16Array(buffer)].map((bits) =>
        new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!
      );
    default:
      return [...new BigInt64Array(buffer)].map(Number);
  }
}
