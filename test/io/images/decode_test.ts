import assert from "node:assert/strict";
import { decodePicture } from "../../../src/io/images/load_image.ts";
import { inMode } from "../../../src/io/images/image.ts";
import { cpuMs } from "../../support/cpu_time.ts";
import { fixture } from "../../support/fixtures.ts";
import { readRaw } from "../../support/raw_tensors.ts";
import { join, latin1, little, refusalOf, seeded } from "../../support/files.ts";

const folder = fixture("pictures/files");
const expected = await readRaw(fixture("pictures/expected.safetensors"));
const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
const bytesOf = (name: string) => Deno.readFileSync(`${folder}/${name}`);

/** What PIL's decoders and ours round differently, of 255. */
const OFF: Record<string, number> = { "four_inks.jpg": 1, "four_inks_ycck.jpg": 2 };

for (const name of names) {
  Deno.test(`${name} has the pixels of diffusers' load_image`, async () => {
    const { shape, bytes } = expected.get(`load/${name}`)!;
    const image = inMode(await decodePicture(bytesOf(name), name), "RGB");
    assert.deepEqual([image.height, image.width, 3], shape);
    const off = image.data.map((value, i) => Math.abs(value - bytes[i]!));
    assert.ok(Math.max(...off) <= (OFF[name] ?? 0), `off by ${Math.max(...off)}`);
  });
}

Deno.test("alpha is kept where it is asked for", async () => {
  const { bytes } = expected.get("source")!; // RGBA
  for (const name of ["alpha.png", "lossless.webp"]) {
    assert.deepEqual(inMode(await decodePicture(bytesOf(name), name), "RGBA").data, bytes.slice(), name);
  }
});

Deno.test("luma is that of PIL", async () => {
  const { bytes } = expected.get("luma")!;
  assert.deepEqual(inMode(await decodePicture(bytesOf("plain.png"), "a"), "L").data, bytes.slice());
});

Deno.test("a picture that was cut off anywhere is refused", async () => {
  for (
    const name of names.filter((name) =>
      /^(plain|progressive|four_inks|lossy|lossless|animated)\./.test(name)
    )
  ) {
    const bytes = bytesOf(name);
    for (let length = 0; length < bytes.length; length += Math.ceil(bytes.length / 40)) {
      assert.match(await refusalOf(decodePicture(bytes.slice(0, length), name)), /^Cannot load /);
    }
    assert.match(await refusalOf(decodePicture(bytes.slice(0, -1), name)), /^Cannot load .*damaged/);
  }
});

Deno.test("any damage ends in pixels or in one line", async () => {
  const random = seeded(5);
  for (const name of names) {
    for (let i = 0; i < 6; i++) {
      const bytes = bytesOf(name);
      for (let k = 0; k < 3; k++) bytes[2 + Math.floor(random() * (bytes.length - 2))] = random() * 256;
      await decodePicture(bytes, name).catch((error) => refusalOf(Promise.reject(error)));
    }
  }
});

Deno.test("what follows a JPEG's end is passed over", async () => {
  const bytes = bytesOf("plain.jpg");
  const longer = new Uint8Array(bytes.length + 9).fill(7);
  longer.set(bytes);
  assert.equal((await decodePicture(longer, "a")).width, 23);
});

/** A chunk of RIFF. */
const riffChunk = (type: string, data: Uint8Array) => join(latin1(type), little(data.length, 4), data);

/** The canvas of an animation of 16 x 16 pixels. */
const canvas = riffChunk("VP8X", latin1("\x02\0\0\0\x0f\0\0\x0f\0\0"));

/** 12000 x 12000 pixels of one colour, lossless. */
const manyPixels = riffChunk("VP8L", Uint8Array.fromHex("2fdfeeb70b075081540820000a9afec78888fe07"));

const refused: [what: string, bytes: Uint8Array, line: RegExp, most?: number][] = [
  ["nothing", new Uint8Array(), /expected a PNG, JPEG or WebP, got an empty file; download it again$/],
  ["a GIF", latin1("GIF89a......"), /got a GIF; convert it to PNG$/],
  ["a HEIC", latin1("\0\0\0\x18ftypheic"), /got a HEIC; convert it to PNG$/],
  ["an AVIF", latin1("\0\0\0\x18ftypavif"), /got an AVIF; convert it to PNG$/],
  ["a TIFF", latin1("MM\0*\0\0"), /got a TIFF; convert it to PNG$/],
  ["a page", latin1("<!DOCTYPE html><html>"), /got a page of HTML; name a picture$/],
  [
    "a pointer",
    latin1("version https://git-lfs.github.com/spec/v1\n"),
    /got a pointer of Git LFS; run git lfs pull, or download the file itself$/,
  ],
  ["text", latin1("hello"), /got a text that begins "hello"; name a picture$/],
  ["a JPEG of 60000 pixels", jpegHeader(60000, 10), /expected sides of 1 to 16384 pixels, got 60000 x 10/],
  [
    "a JPEG of more pixels than its bytes",
    jpegHeader(16384, 16384),
    /expected 131072 bytes for 16384 x 16384/,
  ],
  ["a JPEG of no pixels", jpegHeader(0, 10), /got 0 x 10/],
  ["a WebP of 2^24 pixels", webpHeader(), /expected sides of 1 to 16384 pixels, got 16777216 x 1;/],
  [
    "a WebP with a frame of 12000 x 12000 pixels",
    webp(canvas, frame(12000)),
    /a frame within 16 x 16 pixels/,
  ],
  ["a WebP whose frame hides them", webp(canvas, frame(16)), /a WebP that can be decoded/],
  [
    "a WebP that has them before its canvas",
    webp(manyPixels, canvas),
    /at most 1000000 pixels, got 12000 x 12000/,
    1e6,
  ],
  [
    "a WebP that has them behind it",
    webp(canvas, manyPixels),
    /at most 1000000 pixels, got 12000 x 12000/,
    1e6,
  ],
];

for (const [what, bytes, line, most] of refused) {
  Deno.test(`${what} is refused at once`, async () => {
    const ms = await cpuMs(async () =>
      assert.match(await refusalOf(decodePicture(bytes, "x.png", most)), line)
    );
    assert.ok(ms < 1000, `took ${ms} ms`);
  });
}

/** A JPEG that ends behind its frame. */
function jpegHeader(width: number, height: number): Uint8Array {
  const bytes = latin1(
    "\xff\xd8\xff\xc0\0\x11\x08....\x03\x01\x11\0\x02\x11\0\x03\x11\0\xff\xda\0\x02\xff\xd9",
  );
  new DataView(bytes.buffer).setUint16(7, height);
  new DataView(bytes.buffer).setUint16(9, width);
  return bytes;
}

/** A WebP of chunks. */
function webp(...chunks: Uint8Array[]): Uint8Array {
  const body = join(latin1("WEBP"), ...chunks);
  return join(latin1("RIFF"), little(body.length, 4), body);
}

/** The first frame of an animation, whose own header says these sides. */
function frame(side: number): Uint8Array {
  const less = little(side - 1, 4).slice(0, 3);
  return riffChunk("ANMF", join(new Uint8Array(6), less, less, new Uint8Array(4), manyPixels));
}

/** A WebP of a canvas alone. */
function webpHeader(): Uint8Array {
  return latin1("RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\xff\0\0\0");
}
