import assert from "node:assert/strict";
import { z } from "zod";
import { parseConfig, readJson, unknownKeys } from "../../src/io/config.ts";
import { refusalOf, TestFolder } from "../support/files.ts";

Deno.test("readJson() names a file that is missing, cut off or not in UTF-8", async () => {
  using folder = new TestFolder();
  const path = folder.write("cut.json", '{"size": ');
  const problem = 'expected a value for "size", got the end of the text at line 1, column 10';
  assert.equal(
    await refusalOf(readJson(path)),
    `Cannot load ${path}: ${problem}; correct it or download it again`,
  );
  assert.match(await refusalOf(readJson(`${folder.path}/config.json`)), /config\.json: no such file/);
  assert.match(
    await refusalOf(readJson(folder.write("x.json", Uint8Array.of(0x22, 0xff, 0x22)))),
    /in UTF-8/,
  );
});

const schema = z.looseObject({
  channels: z.number().int().positive().default(4),
  blocks: z.array(z.enum(["DownBlock2D", "AttnDownBlock2D"])).min(1).default(["DownBlock2D"]),
  heads: z.union([z.number(), z.array(z.number())]).default(8),
  text: z.object({ width: z.number().max(2048) }).optional(),
  size: z.number().refine((n) => n % 8 === 0, "a multiple of 8").default(64),
});

Deno.test("parseConfig() fills in defaults and keeps unknown keys", () => {
  const value = { channels: 3, _class_name: "UNet2DModel", shiny: 1 };
  const config = parseConfig(schema, value, "./config.json");
  assert.deepEqual(config, { ...value, blocks: ["DownBlock2D"], heads: 8, size: 64 });
  assert.deepEqual(unknownKeys(schema, value), ["shiny"]);
});

const wrong: [unknown, string][] = [
  [{ channels: -8 }, "channels to be more than 0, got -8"],
  [{ channels: 1.5 }, "channels to be a whole number, got 1.5"],
  [{ channels: "3" }, 'channels to be a number, got "3"'],
  [
    { blocks: ["DownBlock2D", "Quantum"] },
    'blocks[1] to be one of "DownBlock2D", "AttnDownBlock2D", got "Quantum"',
  ],
  [{ blocks: [] }, "blocks to be at least 1 items, got []"],
  [{ heads: "8" }, 'heads to be a number or a list, got "8"'],
  [{ heads: [8, null] }, "heads[1] to be a number, got null"],
  [{ text: { width: 4096 } }, "text.width to be at most 2048, got 4096"],
  [{ text: {} }, "text.width to be a number, got nothing"],
  [{ size: 63 }, "size to be a multiple of 8, got 63"],
  [{ size: 63, channels: 0 }, "channels to be more than 0, got 0 (and 1 more)"],
  [[], "an object, got []"],
  [null, "an object, got null"],
];

for (const [value, problem] of wrong) {
  Deno.test(`parseConfig() of ${JSON.stringify(value)} names path, expectation and value`, () => {
    assert.throws(() => parseConfig(schema, value, "./config.json"), {
      name: "TypeError",
      message: `Cannot load ./config.json: expected ${problem}; correct the config`,
    });
  });
}
