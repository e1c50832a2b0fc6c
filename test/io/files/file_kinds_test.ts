/** What every reader says of a file that is something else. */
import assert from "node:assert/strict";
import { openCheckpoint } from "../../../src/io/formats/checkpoint.ts";
import { readJson } from "../../../src/io/config.ts";
import { kindOf } from "../../../src/io/files/file_kinds.ts";
import { readPng } from "../../../src/io/images/png.ts";
import { CLIPTokenizer } from "../../../src/tokenizers/mod.ts";
import { readSentencePieceModel } from "../../../src/tokenizers/sentencepiece_model.ts";
import { badFile, latin1, refusalOf, safetensors, TestFolder } from "../../support/files.ts";

const tar = new Uint8Array(512);
tar.set(latin1("folder/model.bin"));
tar.set(latin1("ustar"), 257);
const weights = safetensors({ a: { dtype: "U8", shape: [2], data_offsets: [0, 2] } }, [1, 2]);

const files: [bytes: Uint8Array, got: string][] = [
  [
    latin1("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"),
    "a pointer of Git LFS; run git lfs pull",
  ],
  [latin1("<!DOCTYPE html>\n<html>"), "a page of HTML;"],
  [latin1("\n  <html class='x'>"), "a page of HTML;"],
  [latin1("\xef\xbb\xbf\n <html lang=en><body>403</body></html>"), "a page of HTML;"],
  [latin1("<?xml version='1.0'?>\n<!DOCTYPE html>\n<html>"), "a page of HTML;"],
  [latin1('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'), "an XML document, as servers"],
  [latin1('<?xml version="1.0"?>\n<!-- drawn -->\n<svg width="1">'), "an SVG;"],
  [latin1("<svg width='1'/>"), "an SVG;"],
  [latin1("  \n\n"), "an empty text; download it again"],
  [latin1("MZ\x90\0\x03\0\0\0"), "a program;"],
  [new Uint8Array(), "an empty file; download it again"],
  [new Uint8Array(4096), "zeros; its download was not finished: download it again"],
  [latin1("\x1f\x8b\x08\0\0\0\0\0"), "a gzip archive; unpack it first"],
  [latin1("BZh91AY&SY"), "a bzip2 archive; unpack it first"],
  [latin1("7z\xbc\xaf\x27\x1c\0\x04"), "a 7z archive; unpack it first"],
  [tar, "a tar archive; unpack it first"],
  [latin1("%PDF-1.7\n"), "a PDF;"],
  [latin1("\x89HDF\r\n\x1a\n\0"), "an HDF5 file, as Keras writes them;"],
  [latin1("tjgg\x01\0\0\0"), "a GGML file, from before GGUF;"],
  [latin1("\xff\xd8\xff\xe0\0\x10JFIF"), "a JPEG;"],
  [latin1("RIFF\x10\0\0\0WEBPVP8 "), "a WebP;"],
  [latin1("Entry not found"), 'a text that begins "Entry not found";'],
  [latin1("# Stable Diffusion\n\nA model"), 'a text that begins "# Stable Diffusion";'],
];

for (const [bytes, got] of files) {
  Deno.test(`every reader says that a file is ${got}`, async () => {
    using folder = new TestFolder();
    const line = async (reading: Promise<unknown>) => await refusalOf(reading);
    const expected = [
      [await line(openCheckpoint(folder.write("a.safetensors", bytes))), "weights"],
      [await line(openCheckpoint(folder.write("a.bin", bytes))), "weights"],
      [await line(readJson(folder.write("config.json", bytes))), "JSON"],
      [await line(readPng(folder.write("a.png", bytes))), "a PNG"],
    ] as const;
    for (const [message, wanted] of expected) {
      assert.ok(message.includes(`: expected ${wanted}`) && message.includes(`, got ${got}`), message);
    }
  });
}

const lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n";

Deno.test("tokenizers' readers say that a file is a pointer of Git LFS, a page, or empty", async () => {
  using folder = new TestFolder();
  for (
    const [text, got] of [[lfs, "a pointer of Git LFS"], ["<html>", "a page of HTML"], ["", "an empty file"]]
  ) {
    const spiece = folder.write("spiece.model", text!);
    assert.match(
      await refusalOf(readSentencePieceModel(spiece)),
      new RegExp(`expected a vocabulary of sentencepiece, got ${got}; `),
    );
    folder.write("clip/vocab.json", "{}");
    folder.write("clip/merges.txt", text!);
    folder.write("clip/tokenizer_config.json", "{}");
    assert.match(
      await refusalOf(CLIPTokenizer.fromPretrained(`${folder.path}/clip`)),
      new RegExp(`merges\\.txt: expected lines of two tokens, got ${got}; `),
    );
  }
});

const weightsElsewhere: [bytes: Uint8Array, got: string][] = [
  [weights, "a safetensors file"],
  [latin1("GGUF\x03\0\0\0"), "a GGUF file"],
  [Deno.readFileSync(badFile("bin_good.bin")), "a zip file"],
  [Deno.readFileSync(badFile("png_good.png")), "a PNG"],
];

for (const [bytes, got] of weightsElsewhere) {
  Deno.test(`readJson() says that a file is ${got}`, async () => {
    using folder = new TestFolder();
    assert.match(
      await refusalOf(readJson(folder.write("config.json", bytes))),
      new RegExp(`: expected JSON, got ${got}; download it again, or name a JSON file$`),
    );
  });
}

Deno.test("openCheckpoint() says that a config and a picture are no weights", async () => {
  using folder = new TestFolder();
  for (const text of ['{"sample_size": 64}', '\xef\xbb\xbf{ "a": 1 }', '["a"]', "{}"]) {
    assert.match(
      await refusalOf(openCheckpoint(folder.write("unet.safetensors", latin1(text)))),
      /expected weights .*, got a JSON file; download it again, or name a file of weights$/,
    );
  }
  assert.match(await refusalOf(openCheckpoint(badFile("png_good.png"))), /, got a PNG; /);
});

Deno.test("a safetensors file is known whatever its length is, and JSON is not taken for one", () => {
  for (const length of [0x7b, 0x50, 0x3c, 0x89]) { // which begin as JSON, zip, HTML and PNG do
    const head = new Uint8Array(8 + length);
    head[0] = length;
    head.set(latin1('{"a":'), 8);
    assert.equal(kindOf(head)?.kind, "a safetensors file");
  }
  assert.equal(kindOf(latin1('{ "a" : {"b": 1}}'))?.kind, "a JSON file");
  assert.equal(kindOf(latin1("{prompt}"))?.kind, 'a text that begins "{prompt}"');
});

Deno.test("a zip that torch did not write is said to be none, with what is in it", async () => {
  using folder = new TestFolder();
  const end = Uint8Array.from([...latin1("PK\x05\x06"), ...new Uint8Array(18)]);
  assert.match(await refusalOf(openCheckpoint(folder.write("a.bin", end))), /, got an empty zip file; /);
  const zip = Deno.readFileSync(badFile("bin_good.bin"));
  const text = new TextDecoder("latin1").decode(zip).replaceAll("data.pkl", "data.txt");
  assert.match(
    await refusalOf(openCheckpoint(folder.write("b.bin", latin1(text)))),
    /: expected a zip of torch, got one of [^\n]*data\.txt.*; unpack it first$/,
  );
});

Deno.test("a pickle that torch did not write is told as one, whatever its name", async () => {
  using folder = new TestFolder();
  const list = latin1("\x80\x04\x95\x0b\0\0\0\0\0\0\0]\x94(K\x01K\x02K\x03e."); // pickle.dumps([1, 2, 3])
  const line = async (reading: Promise<unknown>) => await refusalOf(reading);
  assert.match(await line(readJson(folder.write("a.json", list))), /expected JSON, got a pickle of Python;/);
  assert.match(await line(readPng(folder.write("a.png", list))), /expected a PNG, got a pickle of Python;/);
  for (const name of ["a.bin", "a.ckpt", "a.safetensors"]) {
    assert.match(
      await line(openCheckpoint(folder.write(name, list))),
      /expected weights .*, got a pickle of a list that torch did not write; name a file of weights$/,
    );
  }
});

Deno.test("what a server says in JSON in place of a file is told, and a config with such a key is one", async () => {
  using folder = new TestFolder();
  const read = (text: string) => readJson(folder.write("config.json", latin1(text)));
  assert.match(
    await refusalOf(read('{"error":"Repository not found"}')),
    /config.json: expected a config, got a server's error "Repository not found"; download it again$/,
  );
  assert.match(await refusalOf(read('{"error":true,"message":"Too many"}')), /server's error "Too many"/);
  assert.deepEqual(await read('{"error":0}'), { error: 0 });
});
