import { join } from "node:path";
import { z } from "zod";
import { BinaryFile } from "../io/files/binary_file.ts";
import { HEAD, kindOf, otherFile } from "../io/files/file_kinds.ts";
import { parseConfig, readJson } from "../io/config.ts";
import { damaged, quote } from "../io/files/errors.ts";
import { type NumberedToken, numberedToken } from "./added_tokens.ts";

/** Tables of a byte-pair encoding. */
export interface BpeVocabulary {
  /** Ids by token; "</w>" ends a word. */
  readonly vocab: Readonly<Record<string, number>>;
  /** Pairs of tokens that become one, those of the most common words first. */
  readonly merges: readonly (readonly [string, string])[];
  /** Tokens that a tokenizer.json adds to its vocabulary. */
  readonly addedTokens: readonly NumberedToken[];
}

const vocabulary = z.record(z.string(), z.int().nonnegative());

const pair = z.union([
  z.string().transform((text) => text.split(" ")).refine((parts) => parts.length === 2, "two tokens"),
  z.array(z.string()).length(2),
]).transform((parts) => parts as [string, string]);

const tokenizerJson = z.looseObject({
  model: z.looseObject({ type: z.literal("BPE").default("BPE"), vocab: vocabulary, merges: z.array(pair) }),
  added_tokens: z.array(numberedToken).default([]),
});

/** Reads tokenizer.json, or else vocab.json with merges.txt. */
export async function readVocabulary(folder: string, names: ReadonlySet<string>): Promise<BpeVocabulary> {
  if (names.has("tokenizer.json")) {
    const path = join(folder, "tokenizer.json");
    const { model: { vocab, merges }, added_tokens } = parseConfig(tokenizerJson, await readJson(path), path);
    return checked({ vocab, merges, addedTokens: added_tokens }, path);
  }
  const path = join(folder, "vocab.json");
  const vocab = parseConfig(vocabulary, await readJson(path), path);
  if (!names.has("merges.txt")) {
    throw new Error(
      `Cannot load ${folder}: expected merges.txt beside vocab.json, got none; download it too`,
    );
  }
  const mergesPath = join(folder, "merges.txt");
  return checked({ vocab, merges: await readMerges(mergesPath), addedTokens: [] }, mergesPath);
}

/** Throws unless all that merging uses and gives has an id. */
function checked(vocabulary: BpeVocabulary, path: string): BpeVocabulary {
  const has = (token: string) => Object.hasOwn(vocabulary.vocab, token);
  const stranger = vocabulary.merges.find(([a, b]) => !has(a) || !has(b) || !has(a + b));
  if (!stranger) return vocabulary;
  throw new TypeError(
    `Cannot load ${path}: expected merges of tokens in the vocabulary, got ${quote(stranger.join(" "))}; ` +
      "take both from one tokenizer",
  );
}

/** Lines of two tokens each, however they end; one of the format's version may stand in front. */
async function readMerges(path: string): Promise<[string, string][]> {
  using file = await BinaryFile.open(path);
  const bytes = await file.read(0, file.size);
  const head = bytes.subarray(0, HEAD);
  const kind = kindOf(head);
  if (kind && !kind.isText) throw otherFile(head, path, "lines of two tokens", "download it again");
  const text = new TextDecoder().decode(bytes);
  const lines = text.split(/\r\n?|\n/).filter((line) => line.trim() !== "" && !line.startsWith("#version"));
  return lines.map((line, i) => {
    const tokens = line.trim().split(/[ \t]+/);
    if (tokens.length === 2) return tokens as [string, string];
    throw damaged(path, "two tokens a line", `${quote(line)} as pair ${i + 1}`);
  });
}
