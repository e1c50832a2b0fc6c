import assert from "node:assert/strict";
import { CLIPTokenizer } from "../../src/tokenizers/mod.ts";
import { fixture } from "../support/fixtures.ts";

/** What transformers makes of texts. */
interface Cases {
  probe: string;
  /** Ids with the pad token of SD 1 and, where they differ, with that of SD 2. */
  cases: { prompt: string; sd1: number[]; sd2?: number[] }[];
  configs: {
    name: string;
    config: object | null;
    special_tokens_map: object | null;
    ids: number[];
    pad: number;
  }[];
  texts: { ids: number[]; text: string }[];
}

const open = (folder: string) => CLIPTokenizer.fromPretrained(folder);
const files = fixture("clip_tokenizer/files");
const { cases, configs, texts, probe } = JSON.parse(
  await Deno.readTextFile(fixture("clip_tokenizer/cases.json")),
) as Cases;

const sd2 = await CLIPTokenizer.fromPretrained(files);
const sd1Config = { bos_token: { content: "<|startoftext|>", normalized: true }, pad_token: "<|endoftext|>" };
const sd1 = await withFiles({ "tokenizer_config.json": sd1Config }, open);
const [start, end, a, b, c] = [1012, 1013, 320, 321, 322];
const ids = (tokenizer: CLIPTokenizer, text: string) =>
  tokenizer.encode(text, { padding: false, truncation: false }).inputIds[0];

Deno.test("CLIPTokenizer reads hard prompts as transformers does, with the pad token of SD 1 and of SD 2", () => {
  for (const { prompt, ...want } of cases) {
    assert.deepEqual(ids(sd1, prompt), want.sd1, JSON.stringify(prompt));
    assert.deepEqual(ids(sd2, prompt), want.sd2 ?? want.sd1, JSON.stringify(prompt));
  }
});

Deno.test("CLIPTokenizer reads the tokenizer.json that transformers writes", async () => {
  const saved = await CLIPTokenizer.fromPretrained(fixture("clip_tokenizer/saved"));
  assert.equal(saved.padTokenId, 0);
  for (const { prompt, ...want } of cases) assert.deepEqual(ids(saved, prompt), want.sd2 ?? want.sd1, prompt);
});

for (const { name, config, special_tokens_map, ids, pad } of configs) {
  Deno.test(`CLIPTokenizer finds special tokens as transformers does: ${name}`, async () => {
    const described = { "tokenizer_config.json": config, "special_tokens_map.json": special_tokens_map };
    const tokenizer = await withFiles(described, open);
    assert.equal(tokenizer.padTokenId, pad);
    assert.deepEqual(tokenizer.encode(probe, { maxLength: 40, truncation: false }).inputIds, [ids]);
  });
}

Deno.test("encode() fills rows up to the model's length, and says which tokens count", () => {
  const { inputIds, attentionMask, truncated } = sd2.encode(["a", "a b c"]);
  assert.deepEqual(inputIds.map((row) => row.length), [77, 77]);
  assert.deepEqual(inputIds.map((row) => row.slice(0, 6)), [[start, a, end, 0, 0, 0], [
    start,
    a,
    b,
    c,
    end,
    0,
  ]]);
  assert.deepEqual(attentionMask.map((row) => row.indexOf(0)), [3, 5]);
  assert.deepEqual(truncated, ["", ""]);
});

Deno.test("encode() fills up to the longest row, or not at all", () => {
  const longest = sd1.encode(["a", "a b"], { padding: "longest" });
  assert.deepEqual(longest.inputIds, [[start, a, end, end], [start, a, b, end]]);
  assert.deepEqual(longest.attentionMask, [[1, 1, 1, 0], [1, 1, 1, 1]]);
  assert.deepEqual(sd1.encode(["a", "a b"], { padding: false }).inputIds, [[start, a, end], [
    start,
    a,
    b,
    end,
  ]]);
  assert.deepEqual(sd1.encode([]).inputIds, []);
});

Deno.test("encode() cuts long texts before their end, and says what it cut off", () => {
  const { inputIds, truncated } = sd1.encode(["a b c", "a b"], { maxLength: 4 });
  assert.deepEqual(inputIds, [[start, a, b, end], [start, a, b, end]]);
  assert.deepEqual(truncated, ["c", ""]);
  assert.deepEqual(sd1.encode("a b c", { maxLength: 2 }), {
    inputIds: [[start, end]],
    attentionMask: [[1, 1]],
    truncated: ["a b c"],
  });
});

Deno.test("encode() cuts and fills up at the left where the config says so", async () => {
  const left = { "tokenizer_config.json": { padding_side: "left", truncation_side: "left", pad_token: "!" } };
  const tokenizer = await withFiles(left, open);
  const { inputIds, attentionMask, truncated } = tokenizer.encode(["a b c", "a"], { maxLength: 4 });
  assert.deepEqual(inputIds, [[start, b, c, end], [0, start, a, end]]);
  assert.deepEqual(attentionMask[1], [0, 1, 1, 1]);
  assert.deepEqual(truncated, ["a", ""]);
});

Deno.test("encode() reads 10,000 words, NUL and half an emoji without complaint", () => {
  const { inputIds, truncated } = sd1.encode("a ".repeat(10_000));
  assert.equal(inputIds[0]!.length, 77);
  assert.equal(truncated[0]!.split(" ").length, 10_000 - 75);
  assert.deepEqual(ids(sd1, "a\ud83d b"), ids(sd1, "a\ufffd b"));
  assert.equal(ids(sd1, "\0")!.length, 3);
});

Deno.test("decode() gives the text that transformers gives, with and without special tokens", () => {
  for (const { ids, text } of texts) assert.equal(sd1.decode(ids), text);
  assert.equal(sd1.decode([start, a, b, end, end], { skipSpecialTokens: true }), "a b");
  assert.equal(sd1.decode([]), "");
});

Deno.test("encode() says what is wrong with its arguments", () => {
  assert.throws(() => sd1.encode("a", { maxLength: 1 }), {
    name: "RangeError",
    message: "Cannot tokenize to maxLength 1: expected a whole number from 2",
  });
  assert.throws(() => sd1.encode(["a", undefined as unknown as string]), {
    name: "TypeError",
    message: "Cannot tokenize undefined: expected a text or a list of texts, got undefined",
  });
});

const lines = (await Deno.readTextFile(`${files}/merges.txt`)).trim().split("\n");
const forms: [string, string][] = [
  ["CRLF", lines.join("\r\n") + "\r\n"],
  ["CR", lines.join("\r")],
  ["a byte order mark", "\ufeff" + lines.join("\n")],
  ["a byte order mark and CRLF, without a last end", "\ufeff" + lines.join("\r\n")],
  ["no line of the version", lines.slice(1).join("\n") + "\n"],
  ["blank lines and spaces at the ends of lines", lines.join(" \n\n") + " \n\n\n"],
];
for (const [what, merges] of forms) {
  Deno.test(`CLIPTokenizer reads a merges.txt with ${what}`, async () => {
    const contents = { "merges.txt": merges, "tokenizer_config.json": sd1Config };
    const tokenizer = await withFiles(contents, open);
    for (const { prompt, sd1: want } of cases) assert.deepEqual(ids(tokenizer, prompt), want, prompt);
  });
}

Deno.test("CLIPTokenizer reads JSON files with a byte order mark and CRLF", async () => {
  const windows = (value: unknown) =>
    "\ufeff" + JSON.stringify(value, null, 1).replaceAll("\n", "\r\n") + "\r\n";
  const contents = {
    "vocab.json": windows(JSON.parse(await Deno.readTextFile(`${files}/vocab.json`))),
    "tokenizer_config.json": windows({ pad_token: "!" }),
    "special_tokens_map.json": windows({ unk_token: "<|endoftext|>" }),
    "added_tokens.json": windows({ "<cat>": 1014 }),
  };
  const tokenizer = await withFiles(contents, open);
  assert.equal(tokenizer.padTokenId, 0);
  assert.deepEqual(ids(tokenizer, "a <cat> b"), [start, a, 1014, b, end]);
});

Deno.test("CLIPTokenizer takes null for what transformers does not need", async () => {
  const config = {
    model_max_length: null,
    unk_token: null,
    sep_token: null,
    mask_token: null,
    additional_special_tokens: null,
    extra_special_tokens: null,
    added_tokens_decoder: null,
    split_special_tokens: null,
  };
  const tokenizer = await withFiles({ "tokenizer_config.json": config }, open);
  assert.equal(tokenizer.modelMaxLength, 77);
  assert.deepEqual(ids(tokenizer, "a b"), [start, a, b, end]);
});

const refusals: [string, Record<string, unknown>, RegExp][] = [
  [
    "a vocabulary that is cut off",
    { "vocab.json": '{"a": 0, "b": ' },
    /^Cannot load .*vocab.json: expected a value for "b"/,
  ],
  [
    "ids that are no numbers",
    { "vocab.json": { a: "0" } },
    /vocab.json: expected a to be a number, got "0"; correct/,
  ],
  [
    "no merges",
    { "merges.txt": undefined },
    /expected merges.txt beside vocab.json, got none; download it too$/,
  ],
  [
    "a line of three tokens",
    { "merges.txt": "#version: 0.2\na b\na b c\n" },
    /two tokens a line, got "a b c" as pair 2;/,
  ],
  [
    "merges of another tokenizer",
    { "merges.txt": "#version: 0.2\ni n\nqq zz\n" },
    /merges.txt: expected merges of tokens in the vocabulary, got "qq zz"; take both from one tokenizer$/,
  ],
  [
    "a pointer of Git LFS for merges",
    { "merges.txt": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 524619\n" },
    /merges.txt: expected lines of two tokens, got a pointer of Git LFS; run git lfs pull/,
  ],
  [
    "merges of no bytes",
    { "merges.txt": "" },
    /merges.txt: expected lines of two tokens, got an empty file; download it again$/,
  ],
  [
    "a page for merges",
    { "merges.txt": "\ufeff<!DOCTYPE html>\n<html>" },
    /merges.txt: expected lines of two tokens, got a page of HTML; download it again$/,
  ],
  [
    "another kind of tokenizer",
    { "tokenizer.json": { model: { type: "Unigram" } } },
    /model.type to be "BPE", got "Unigram"/,
  ],
  [
    "a pad token that is no text",
    { "tokenizer_config.json": { pad_token: 7 } },
    /pad_token to be a string or an object, got 7;/,
  ],
  [
    "no pad token",
    { "tokenizer_config.json": { pad_token: null } },
    /pad_token to be a string or an object, got null;/,
  ],
  [
    "added tokens that have no ids",
    { "added_tokens.json": ["<cat>"] },
    /added_tokens.json: expected an object, got \["<cat>"\];/,
  ],
  [
    "a list of tokens that are no texts",
    { "special_tokens_map.json": { additional_special_tokens: [7] } },
    /special_tokens_map.json: expected additional_special_tokens\[0\] to be a string or an object, got 7;/,
  ],
  [
    "no length",
    { "tokenizer_config.json": { model_max_length: 0 } },
    /model_max_length to be at least 2, got 0;/,
  ],
];
for (const [what, content, message] of refusals) {
  Deno.test(`CLIPTokenizer.fromPretrained() refuses ${what} in one line`, async () => {
    await assert.rejects(withFiles(content, open), (error: Error) => {
      assert.match(error.message, message);
      assert.match(error.message, /^Cannot [^\n]+$/);
      return true;
    });
  });
}

/**
 * Runs on the vocabulary and merges of the fixture, with some files more, changed, or (undefined) left out.
 */
async function withFiles<T>(
  contents: Record<string, unknown>,
  run: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await Deno.makeTempDir();
  try {
    for (const name of ["vocab.json", "merges.txt"]) {
      await Deno.copyFile(`${files}/${name}`, `${folder}/${name}`);
    }
    for (const [name, content] of Object.entries(contents)) {
      if (content === undefined) await Deno.remove(`${folder}/${name}`);
      else if (content !== null) {
        const text = typeof content === "string" ? content : JSON.stringify(content);
        await Deno.writeTextFile(`${folder}/${name}`, text);
      }
    }
    return await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("pieces(), filledRow() and convertIdsToTokens() make rows of one's own", async () => {
  const tokenizer = await CLIPTokenizer.fromPretrained(files);
  const added = tokenizer.addToken("<two>", 2);
  assert.deepEqual(tokenizer.pieces("a <two>b"), [[a], [...added], [b]]);
  const row = tokenizer.filledRow([a, b]);
  assert.deepEqual(row, tokenizer.encode("a b").inputIds[0]);
  assert.deepEqual(tokenizer.convertIdsToTokens([start, a, ...added, 10 ** 6]), [
    ...["<|startoftext|>", "a</w>", "<two>", "<two>_1"],
    "<|endoftext|>", // the unknown one
  ]);
});
