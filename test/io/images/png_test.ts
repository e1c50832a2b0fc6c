import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { crc32, deflateSync } from "node:zlib";
import type { Image } from "../../../src/io/images/image.ts";
import { encodePng, readPng, writePng } from "../../../src/io/images/png.ts";
import { joinChunk, PNG_SIGNATURE } from "../../../src/io/images/png_text.ts";
import { cpuMs } from "../../support/cpu_time.ts";
import { join, latin1, refusalOf, seeded, TestFolder } from "../../support/files.ts";

for (const channels of [1, 3, 4] as const) {
  Deno.test(`readPng() gives back what writePng() wrote with ${channels} channels`, async () => {
    using folder = new TestFolder();
    const image = noise(7, 5, channels);
    await writePng(`${folder.path}/x.png`, image);
    const { width, height, data } = await readPng(`${folder.path}/x.png`);
    const expected = Array.from({ length: 35 }, (_, i) => {
      const [r, g = r, b = r, a = 255] = image.data.subarray(i * channels, (i + 1) * channels);
      return [r, g, b, a];
    });
    assert.deepEqual([width, height, [...data]], [7, 5, expected.flat()]);
  });
}

Deno.test("texts of a PNG come back, in Latin-1, in UTF-8 and of any length", async () => {
  using folder = new TestFolder();
  const text = {
    parameters: "a cat\nSteps: 25, CFG scale: 7.5",
    prompt: "猫 \u{1f408} caf\u00e9",
    café: "\u00e9\u0080",
    long: "x".repeat(100_000),
    empty: "",
  };
  await writePng(`${folder.path}/x.png`, noise(3, 2, 3), text);
  assert.deepEqual((await readPng(`${folder.path}/x.png`)).text, text);
  const bytes = Deno.readFileSync(`${folder.path}/x.png`);
  assert.equal(String.fromCharCode(...bytes.subarray(37, 41)), "tEXt", "texts follow the header");
});

Deno.test("readPng() reads compressed texts and passes over broken ones", async () => {
  using folder = new TestFolder();
  const packed = deflateSync(latin1("packed"));
  const bomb = deflateSync(new Uint8Array(2 ** 22));
  const path = folder.write(
    "x.png",
    pngFile({}, [
      ["zTXt", join(latin1("a\0\0"), packed)],
      ["iTXt", join(latin1("b\0\x01\0en\0b\0"), packed)],
      ["zTXt", join(latin1("bomb\0\0"), bomb)],
      ["iTXt", latin1("c\0\0\0\0\0\xff")],
      ["iTXt", latin1("d\0")],
      ["tEXt", latin1("no end")],
    ]),
  );
  assert.deepEqual((await readPng(path)).text, { a: "packed", b: "packed" });
});

Deno.test("readPng() stops at texts that are long together, and reads one of 40 MB at once", async () => {
  using folder = new TestFolder();
  const packed = (bytes: number) => deflateSync(new Uint8Array(bytes).fill(0x78));
  const many = (bytes: number): Part[] =>
    Array.from({ length: 200 }, (_, i) => ["zTXt", Buffer.concat([latin1(`${i}\0\0`), packed(bytes)])]);
  const texts = async (parts: Part[]) => (await readPng(folder.write("x.png", pngFile({}, parts)))).text;
  const ms = await cpuMs(async () => {
    const read = Object.values(await texts(many(2 ** 20)));
    assert.deepEqual([...new Set(read.map(({ length }) => length))], [2 ** 20]);
    assert.equal(read.length, 16, "16 MiB of compressed texts");
    assert.deepEqual(await texts([...many(2 ** 20 + 1), ...many(1)]), {}, "bombs cost as much");
    const long = (await texts([["tEXt", Buffer.concat([latin1("long\0"), new Uint8Array(4e7)])]]))["long"];
    assert.equal(long?.length, 4e7);
  });
  assert.ok(ms < 5000, `took ${ms} ms`);
});

Deno.test("encodePng() takes no memory that it does not give back", () => {
  const image = noise(64, 64, 3);
  for (let i = 0; i < 20; i++) encodePng(image);
  const before = Deno.memoryUsage().rss;
  for (let i = 0; i < 300; i++) encodePng(image);
  const grown = Deno.memoryUsage().rss - before;
  assert.ok(grown < 50e6, `300 pictures took ${grown} bytes`); // a deflate stream left open takes 340 kB each
});

Deno.test("writePng() refuses what a PNG cannot hold", async () => {
  using folder = new TestFolder();
  const path = `${folder.path}/x.png`;
  const image = noise(2, 2, 3);
  assert.match(await refusalOf(writePng(path, { ...image, width: 0 })), /sides of 1 to 16384, got 0 x 2/);
  assert.match(await refusalOf(writePng(path, { ...image, height: 3 })), /2 x 3 pixels .* got 12 bytes/);
  assert.match(
    await refusalOf(writePng(path, image, { "": "x" })),
    /a keyword of 1 to 79 Latin-1 letters, got ""/,
  );
  assert.match(await refusalOf(writePng(path, image, { "猫": "x" })), /a keyword of 1 to 79/);
  assert.match(await refusalOf(writePng(path, image, { a: "x\0y" })), /expected no NUL/);
  assert.deepEqual([...Deno.readDirSync(folder.path)], []);
});

Deno.test("writePng() leaves nothing behind where it fails, and the old file whole", async () => {
  using folder = new TestFolder();
  const image = noise(2, 2, 3);
  assert.match(
    await refusalOf(writePng(`${folder.path}/none/x.png`, image)),
    /expected a folder .*none, got none; create it first/,
  );
  Deno.mkdirSync(`${folder.path}/x.png`);
  assert.match(await refusalOf(writePng(`${folder.path}/x.png`, image)), /expected a file, got a folder/);
  assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["x.png"]);
});

Deno.test("readPng() reads 1 to 16 bits, palettes and interlaced images", async () => {
  using folder = new TestFolder();
  const read = async (png: Uint8Array) => [...(await readPng(folder.write("x.png", png))).data];
  const gray = (value: number) => [value, value, value, 255];
  const rows = latin1("\0\x80\0\x80"); // two rows of one pixel: white, white in 1 bit
  assert.deepEqual(await read(pngFile({ bits: 1, color: 0, raw: rows })), [...gray(255), ...gray(255)]);
  const deep = latin1("\0\xff\xff\0\x00\x00");
  assert.deepEqual(await read(pngFile({ bits: 16, color: 0, raw: deep })), [...gray(255), ...gray(0)]);
  const palette: Part = ["PLTE", latin1("\x01\x02\x03\x04\x05\x06")];
  const indices = latin1("\0\x01\0\x00");
  const colors = [4, 5, 6, 255, 1, 2, 3, 255];
  assert.deepEqual(await read(pngFile({ bits: 8, color: 3, raw: indices }, [palette])), colors);
  assert.deepEqual(await read(pngFile({ bits: 8, color: 0, interlace: 1, raw: latin1("\0\x07\0\x09") })), [
    ...gray(7),
    ...gray(9),
  ]);
});

const wrong: [string, Uint8Array, RegExp][] = [
  [
    "a header of 60000 x 60000",
    pngFile({ width: 60000, height: 60000 }),
    /sides of 1 to 16384 pixels, got 60000 x 60000/,
  ],
  ["no width", pngFile({ width: 0 }), /got 0 x 2/],
  ["fewer pixels than its header says", pngFile({ height: 16384 }), /expected 32768 bytes of pixels, got 4/],
  [
    "more pixels than its header says",
    pngFile({ raw: new Uint8Array(2 ** 22) }),
    /expected 4 bytes of pixels, got more/,
  ],
  ["an unknown pixel format", pngFile({ bits: 5 }), /a known pixel format, got 5,0,0,0,0/],
  [
    "an unknown filter",
    pngFile({ raw: latin1("\x09\0\0\0") }),
    /a PNG that pngjs decodes, got "Unrecognised filter/,
  ],
  ["a colour behind its palette", pngFile({ color: 3 }, [["PLTE", latin1("\0\0\0")]]), /pngjs decodes/],
  ["no palette", pngFile({ color: 3 }), /pngjs decodes/],
  [
    "no pixels",
    join(pngFile({}).slice(0, 33), chunk("IEND", "")),
    /bytes of pixels, got data that cannot be inflated/,
  ],
  ["no header", join(PNG_SIGNATURE, chunk("IEND", "")), /begins with IHDR/],
  ["a short header", join(PNG_SIGNATURE, chunk("IHDR", "abc"), chunk("IEND", "")), /begins with IHDR/],
  ["only a signature", Uint8Array.from(PNG_SIGNATURE), /PNG chunks up to IEND/],
  [
    "the bytes of a JPEG",
    latin1("\xff\xd8\xff\xe0\0\x10JFIF"),
    /expected a PNG, got a JPEG; convert it to PNG$/,
  ],
  ["the bytes of a text", latin1("hello"), /got a text that begins "hello"; name a picture/],
];

for (const [what, png, reason] of wrong) {
  Deno.test(`readPng() refuses a file with ${what}`, async () => {
    using folder = new TestFolder();
    const path = folder.write("x.png", png);
    const ms = await cpuMs(async () => assert.match(await refusalOf(readPng(path)), reason));
    assert.ok(ms < 1000, `took ${ms} ms`);
  });
}

Deno.test("readPng() ends on any damage under valid checksums", async () => {
  using folder = new TestFolder();
  const random = seeded(3);
  for (let i = 0; i < 400; i++) {
    const raw = Uint8Array.from({ length: 4 + i % 3 }, () => random() * 256);
    const [bits, color] = [[1, 2, 4, 8, 16][i % 5], Math.floor(random() * 8)];
    const extra: Part[] = ["PLTE", "tRNS", "gAMA", "bKGD", "IDAT"].filter(() => random() < 0.4).map(
      (type) => {
        return [type, Uint8Array.from({ length: random() * 8 }, () => random() * 256)];
      },
    );
    const fields = {
      bits,
      color,
      raw,
      interlace: Math.floor(random() * 2),
      width: 1 + Math.floor(random() * 3),
    };
    await readPng(folder.write("x.png", pngFile(fields, extra))).catch((error) =>
      refusalOf(Promise.reject(error))
    );
  }
});

function noise(width: number, height: number, channels: 1 | 3 | 4): Image {
  const random = seeded(width);
  const data = Uint8Array.from({ length: width * height * channels }, () => random() * 256);
  return { width, height, channels, data };
}

type Part = [type: string, data: Uint8Array];

/** A PNG by hand, of 1 x 2 gray pixels unless told otherwise; `extra` chunks stand before the pixels. */
function pngFile(
  { width = 1, height = 2, bits = 8, color = 0, interlace = 0, raw = latin1("\0\x01\0\x02") },
  extra: Part[] = [],
): Uint8Array {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([bits, color, 0, 0, interlace], 8);
  const parts: Part[] = [["IHDR", header], ...extra, ["IDAT", deflateSync(raw)], ["IEND", new Uint8Array()]];
  return Buffer.concat([
    Uint8Array.from(PNG_SIGNATURE),
    ...parts.map(([type, data]) => joinChunk({ type, data })),
  ]);
}

function chunk(type: string, data: string): Uint8Array {
  return joinChunk({ type, data: latin1(data) });
}

Deno.test("joinChunk() writes the CRC of type and data", () => {
  const bytes = chunk("tEXt", "a\0b");
  assert.deepEqual([...bytes.subarray(0, 8)], [0, 0, 0, 3, ...latin1("tEXt")]);
  assert.equal(new DataView(bytes.buffer).getUint32(11), crc32(latin1("tEXta\0b")));
});
