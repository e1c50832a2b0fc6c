import assert from "node:assert/strict";
import { T5TokenizerFast } from "../../src/tokenizers/mod.ts";
import { fixture } from "../support/fixtures.ts";

/**
 * What Hugging Face's tokenizers make of prompts, by what a tokenizer.json changes of that of the fixture.
 */
interface Kinds {
  prompts: string[];
  kinds: { name: string; change: Record<string, unknown>; ids: number[][] }[];
}

const files = fixture("flux/pipeline/tokenizer_2");
const whole = JSON.parse(await Deno.readTextFile(`${files}/tokenizer.json`));
const { cases } = JSON.parse(await Deno.readTextFile(fixture("flux/t5_tokenizer_cases.json"))) as {
  cases: { prompt: string; ids: number[] }[];
};
const { prompts, kinds } = JSON.parse(await Deno.readTextFile(fixture("t5_tokenizer/cases.json"))) as Kinds;

const t5 = await T5TokenizerFast.fromPretrained(fixture("flux/pipeline"));
const [pad, end, a, b, c] = [0, 1, 9, 267, 205];
const ids = (tokenizer: T5TokenizerFast, text: string) =>
  tokenizer.encode(text, { padding: false, truncation: false }).inputIds[0];

Deno.test("T5TokenizerFast reads hard prompts as transformers does, from tokenizer.json", () => {
  for (const { prompt, ids: want } of cases) assert.deepEqual(ids(t5, prompt), want, JSON.stringify(prompt));
});

Deno.test("T5TokenizerFast reads the same from spiece.model alone, with the default config too", async () => {
  for (const config of [true, false]) {
    await withFiles({ "spiece.model": true, "tokenizer_config.json": config }, async (folder) => {
      const alone = await T5TokenizerFast.fromPretrained(folder);
      for (const { prompt, ids: want } of cases) {
        assert.deepEqual(ids(alone, prompt), want, JSON.stringify(prompt));
      }
      assert.deepEqual(ids(alone, "<extra_id_0> a<extra_id_99>"), [999, a, 900, end]);
      assert.equal(alone.padTokenId, pad);
      assert.equal(alone.modelMaxLength, 512);
    });
  }
});

for (const { name, change, ids: want } of kinds) {
  Deno.test(`T5TokenizerFast reads a tokenizer.json as Hugging Face's tokenizers do: ${name}`, async () => {
    await withFiles({ "tokenizer.json": changed(change) }, async (folder) => {
      const tokenizer = await T5TokenizerFast.fromPretrained(folder);
      prompts.forEach((prompt, i) =>
        assert.deepEqual(ids(tokenizer, prompt), want[i], JSON.stringify(prompt))
      );
    });
  });
}

Deno.test("T5TokenizerFast gives a pad token that the vocabulary lacks the next id, as transformers does", async () => {
  await withFiles(
    { "tokenizer.json": true, "tokenizer_config.json": { pad_token: "[PAD]" } },
    async (folder) => {
      const tokenizer = await T5TokenizerFast.fromPretrained(folder);
      assert.equal(tokenizer.padTokenId, 1000);
      assert.deepEqual(ids(tokenizer, "a[PAD]b"), [a, 1000, b, end]);
    },
  );
});

Deno.test("encode() fills rows up to maxLength, and says which tokens count", () => {
  const { inputIds, attentionMask, truncated } = t5.encode(["a", "a b", ""], { maxLength: 4 });
  assert.deepEqual(inputIds, [[a, end, pad, pad], [a, b, end, pad], [end, pad, pad, pad]]);
  assert.deepEqual(attentionMask, [[1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0]]);
  assert.deepEqual(truncated, ["", "", ""]);
  assert.equal(t5.encode("a").inputIds[0]!.length, 512);
});

Deno.test("encode() cuts long texts before their end, and says what it cut off", () => {
  const { inputIds, attentionMask, truncated } = t5.encode(["a b c", "a b"], { maxLength: 3 });
  assert.deepEqual(inputIds, [[a, b, end], [a, b, end]]);
  assert.deepEqual(attentionMask, [[1, 1, 1], [1, 1, 1]]);
  assert.deepEqual(truncated, ["c", ""]);
  assert.deepEqual(t5.encode("a b", { maxLength: 1 }), {
    inputIds: [[end]],
    attentionMask: [[1]],
    truncated: ["a b"],
  });
});

Deno.test("encode() cuts and fills up at the left where the config says so", async () => {
  const left = { padding_side: "left", truncation_side: "left", model_max_length: 3 };
  await withFiles({ "tokenizer.json": true, "tokenizer_config.json": left }, async (folder) => {
    const { inputIds, truncated } = (await T5TokenizerFast.fromPretrained(folder)).encode(["a b c", "a"]);
    assert.deepEqual(inputIds, [[b, c, end], [pad, a, end]]);
    assert.deepEqual(truncated, ["a", ""]);
  });
});

Deno.test("encode() reads 10,000 words, one word of 100,000 letters, NUL and half an emoji without complaint", () => {
  const { inputIds, truncated } = t5.encode("a ".repeat(10_000));
  assert.equal(inputIds[0]!.length, 512);
  assert.equal(truncated[0]!.split(" ").length, 10_000 - 511);
  assert.equal(ids(t5, "ab".repeat(50_000))!.at(-1), end);
  assert.deepEqual(ids(t5, "a\ud83d b"), ids(t5, "a\ufffd b"));
  assert.deepEqual(ids(t5, " ".repeat(100_000) + "a"), [a, end]);
  assert.equal(ids(t5, "\0")!.at(-1), end);
});

Deno.test("decode() gives the text back, with and without special tokens", () => {
  assert.equal(t5.decode(ids(t5, "a nice flower")!), "a nice flower</s>");
  assert.equal(t5.decode(ids(t5, "a nice flower")!, { skipSpecialTokens: true }), "a nice flower");
  assert.equal(t5.decode([]), "");
});

Deno.test("encode() says what is wrong with its arguments", () => {
  assert.throws(() => t5.encode("a", { maxLength: 0 }), {
    name: "RangeError",
    message: "Cannot tokenize to maxLength 0: expected a whole number from 1",
  });
  assert.throws(() => t5.encode(["a", undefined as unknown as string]), {
    name: "TypeError",
    message: "Cannot tokenize undefined: expected a text or a list of texts, got undefined",
  });
});

const refusals: [string, Record<string, unknown>, RegExp][] = [
  [
    "a tokenizer.json that is cut off",
    { "tokenizer.json": '{"model": ' },
    /^Cannot load .*tokenizer.json: expected/,
  ],
  [
    "another kind of tokenizer",
    { "tokenizer.json": { model: { type: "BPE", vocab: {}, merges: [] } } },
    /model.type to be "Unigram", got "BPE"/,
  ],
  [
    "an unknown token that is not there",
    { "tokenizer.json": changed({ model: { vocab: [["a", -1]], unk_id: 1 } }) },
    /model.unk_id to be the number of a piece of the vocabulary, got 1;/,
  ],
  [
    "a normalizer of its own",
    { "tokenizer.json": changed({ normalizer: { type: "Sparkle" } }) },
    /tokenizer.json: Unknown Normalizer type: Sparkle; it is of another kind, or damaged$/,
  ],
  [
    "a damaged table of characters",
    { "tokenizer.json": changed({ normalizer: { type: "Precompiled", precompiled_charsmap: "AAAA" } }) },
    /tokenizer.json: expected a normalizer's table of at least 1024 bytes, got -1 of 3; /,
  ],
  [
    "no file",
    { "tokenizer_config.json": true },
    /^Cannot open .*: expected tokenizer.json, got tokenizer_config.json$/,
  ],
  [
    "a spiece.model that is empty",
    { "spiece.model": new Uint8Array() },
    /spiece.model: expected a vocabulary of sentencepiece, got an empty file; /,
  ],
];
for (const [what, contents, message] of refusals) {
  Deno.test(`T5TokenizerFast.fromPretrained() refuses ${what} in one line`, async () => {
    await assert.rejects(
      withFiles(contents, (folder) => T5TokenizerFast.fromPretrained(folder)),
      (error: Error) => {
        assert.match(error.message, message);
        assert.match(error.message, /^Cannot [^\n]+$/);
        return true;
      },
    );
  });
}

/** The fixture's tokenizer.json with other parts; "Precompiled" without a table stands for its own. */
function changed(change: Record<string, unknown>): string {
  const text = JSON.stringify({ ...whole, ...change });
  return text.replace('{"type":"Precompiled"}', JSON.stringify(whole.normalizer));
}

/** Runs on a folder of some files: the fixture's (true), none (false), or their content. */
async function withFiles<T>(
  contents: Record<string, unknown>,
  run: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, content] of Object.entries(contents)) {
      if (content === true) await Deno.copyFile(`${files}/${name}`, `${folder}/${name}`);
      else if (content instanceof Uint8Array) await Deno.writeFile(`${folder}/${name}`, content);
      else if (content !== false) {
        await Deno.writeTextFile(
          `${folder}/${name}`,
          typeof content === "string" ? content : JSON.stringify(content),
        );
      }
    }
    return await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
