import assert from "node:assert/strict";
import { Charsmap } from "../../src/tokenizers/charsmap.ts";
import { parseSentencePieceModel } from "../../src/tokenizers/sentencepiece_model.ts";
import { Dice } from "../support/dice.ts";
import { fixture } from "../support/fixtures.ts";

const file = await Deno.readFile(fixture("flux/pipeline/tokenizer_2/spiece.model"));

/** A number as protobuf writes it. */
function varint(value: number): number[] {
  return value < 128 ? [value] : [value % 128 | 128, ...varint(Math.floor(value / 128))];
}

const number = (field: number, value: number) => [...varint(field * 8), ...varint(value)];
const bytes = (
  field: number,
  value: Iterable<number>,
) => [...varint(field * 8 + 2), ...varint([...value].length), ...value];
const float = (field: number, value: number) => [
  ...varint(field * 8 + 5),
  ...new Uint8Array(new Float32Array([value]).buffer),
];
const text = (field: number, value: string) => bytes(field, new TextEncoder().encode(value));
const piece = (value: string, score: number, type?: number) =>
  bytes(1, [...text(1, value), ...float(2, score), ...type ? number(3, type) : []]);

const unknown = piece("<unk>", 0, 2);
const parse = (...parts: number[][]) => parseSentencePieceModel(Uint8Array.from(parts.flat()));

Deno.test("parseSentencePieceModel() reads pieces, options and the table, and passes over the rest", () => {
  const model = parse(
    piece("▁a", -1.5),
    unknown,
    piece("<0x00>", -0.25, 6),
    bytes(2, [...number(3, 1), ...number(35, 1), ...number(40, 1), ...text(44, "<unk>"), ...float(10, 2)]),
    bytes(3, [...text(1, "nmt_nfkc"), ...bytes(2, [7, 8, 9]), ...number(3, 1)]),
    bytes(99, [1, 2, 3]),
    [...varint(98 * 8 + 1), 1, 2, 3, 4, 5, 6, 7, 8], // eight bytes
  );
  assert.deepEqual(model.pieces, [
    { text: "▁a", score: -1.5, type: 1 },
    { text: "<unk>", score: 0, type: 2 },
    { text: "<0x00>", score: -0.25, type: 6 },
  ]);
  assert.equal(model.unkId, 1);
  assert.equal(model.byteFallback, true);
  assert.deepEqual([...model.charsmap!], [7, 8, 9]);
});

Deno.test("parseSentencePieceModel() takes a file without options for a unigram model without a table", () => {
  const { unkId, byteFallback, charsmap } = parse(unknown);
  assert.deepEqual({ unkId, byteFallback, charsmap }, { unkId: 0, byteFallback: false, charsmap: undefined });
});

const refusals: [string, number[][], string][] = [
  ["nothing", [], "expected a piece for unknown text, got 0 pieces and number 0"],
  [
    "a byte-pair encoding",
    [unknown, bytes(2, number(3, 2))],
    "expected a unigram vocabulary, got one of BPE",
  ],
  [
    "an unknown piece that is not there",
    [unknown, bytes(2, number(40, 1))],
    "expected a piece for unknown text, got 1 pieces and number 1",
  ],
  ["a piece that ends early", [[10, 200, 1, 10]], "expected 200 bytes, got 1 at byte 3"],
  ["a number that does not end", [[8, 255]], "expected more bytes of a number, got the end at byte 2"],
  [
    "a number of eleven bytes",
    [[8, ...new Array(11).fill(255)]],
    "expected a number of at most 10 bytes, got a longer one at byte 11",
  ],
  [
    "a length of 64 bits",
    [[10, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]],
    "expected 18446744073709551615 bytes, got 0 at byte 11",
  ],
  ["a group", [[11]], "expected a field of type 0, 1, 2 or 5, got 3 at byte 0"],
  ["a field of number 0", [[0, 0]], "expected a field's number from 1, got 0 at byte 0"],
  ["a number where pieces are", [number(1, 7)], "expected bytes in field 1, got a number"],
  ["a text where a type is", [bytes(1, text(3, "x"))], "expected a number in field 3, got bytes"],
  [
    "text that is not UTF-8",
    [bytes(1, bytes(1, [200, 200]))],
    "expected text in UTF-8 as piece 0, got other bytes",
  ],
  ["an empty piece", [unknown, bytes(1, bytes(1, []))], "expected text in UTF-8 as piece 1, got none"],
  ["a score that is not a number", [piece("a", NaN)], "expected a finite score of piece 0, got NaN"],
  [
    "a score of eight bytes",
    [bytes(1, [17, 0, 0, 0, 0, 0, 0, 0, 0])],
    "expected a finite score of piece 0, got NaN",
  ],
];
for (const [what, parts, message] of refusals) {
  Deno.test(`parseSentencePieceModel() refuses ${what}`, () => {
    assert.throws(() => parse(...parts), { name: "SyntaxError", message });
  });
}

Deno.test("parseSentencePieceModel() reads or refuses damaged files, and never breaks off otherwise", () => {
  const dice = new Dice(70);
  let refused = 0;
  for (let i = 0; i < 300; i++) {
    const damaged = file.slice(0, dice.coin() ? file.length : dice.int(0, file.length));
    for (let flips = dice.int(1, 4); flips > 0 && damaged.length > 0; flips--) {
      damaged[dice.int(0, Math.min(20_000, damaged.length) - 1)] = dice.int(0, 255);
    }
    try {
      parseSentencePieceModel(damaged);
    } catch (error) {
      refused++;
      assert.ok(error instanceof SyntaxError, String(error));
      assert.match(error.message, /^expected [^\n]+, got [^\n]*$/);
    }
  }
  assert.ok(refused > 100, `only ${refused} files were refused`);
});

Deno.test("Charsmap reads damaged tables without breaking off", () => {
  const dice = new Dice(71);
  const { charsmap } = parseSentencePieceModel(file);
  const hard = "àé日本①ﬁ e\u0301\u0000🐶 hello\t▁\r\n";
  assert.equal(new Charsmap(charsmap!).normalize(hard), "àé日本1fi é\u0000🐶 hello   ");
  for (let i = 0; i < 300; i++) {
    const damaged = charsmap!.slice();
    for (let flips = 50; flips > 0; flips--) damaged[dice.int(4, damaged.length - 1)] = dice.int(0, 255);
    assert.equal(typeof new Charsmap(damaged).normalize(hard), "string");
  }
  for (const length of [0, 3, 4, 1027]) {
    assert.throws(
      () => new Charsmap(charsmap!.slice(0, length)),
      /^SyntaxError: expected a normalizer's table/,
    );
  }
});
