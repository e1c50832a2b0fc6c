import { BinaryFile } from "../io/files/binary_file.ts";
import { HEAD, kindOf, otherFile } from "../io/files/file_kinds.ts";
import { damaged } from "../io/files/errors.ts";
import { type Field, fieldsOf } from "./protobuf.ts";

/**
 * Kinds of pieces: UNKNOWN stands for other text, CONTROL and USER_DEFINED are found in a text as they stand.
 */
export const PIECE = { NORMAL: 1, UNKNOWN: 2, CONTROL: 3, USER_DEFINED: 4, UNUSED: 5, BYTE: 6 } as const;

/** A piece of text with the logarithm of its probability. */
export interface Piece {
  readonly text: string;
  readonly score: number;
  /** One of `PIECE`. */
  readonly type: number;
}

/** A spiece.model (Kudo & Richardson 2018), decoded. */
export interface SentencePieceModel {
  /** In the order of their ids. */
  readonly pieces: readonly Piece[];
  /** The piece that stands for what has none. */
  readonly unkId: number;
  /** True if characters without a piece fall into pieces of one byte each, "<0x00>" to "<0xFF>". */
  readonly byteFallback: boolean;
  /** Table by which texts are normalized; see charsmap.ts. */
  readonly charsmap?: Uint8Array<ArrayBuffer> | undefined;
}

const LARGEST = 100_000_000; // bytes; those of 250,000 pieces have some 4 million
const UNIGRAM = 1n;
const MODELS = new Map([[2n, "BPE"], [3n, "words"], [4n, "characters"]]);

/**
 * Reads a spiece.model, sentencepiece's ModelProto:
 * pieces are its field 1, how they were trained 2, the normalizer 3.
 */
export async function readSentencePieceModel(path: string): Promise<SentencePieceModel> {
  using file = await BinaryFile.open(path);
  if (file.size > LARGEST) throw damaged(path, `a vocabulary of at most ${LARGEST} bytes`, `${file.size}`);
  const bytes = await file.read(0, file.size);
  try {
    return parseSentencePieceModel(bytes);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const head = bytes.subarray(0, HEAD);
    if (kindOf(head)) throw otherFile(head, path, "a vocabulary of sentencepiece", "download it again");
    const [, expected, got] = /^expected (.*), got (.*?)$/s.exec(error.message)!;
    throw damaged(path, expected!, got!);
  }
}

/** Reads the bytes of a spiece.model; throws a SyntaxError "expected …, got …" where they are none. */
export function parseSentencePieceModel(bytes: Uint8Array<ArrayBuffer>): SentencePieceModel {
  const pieces: Piece[] = [];
  let [model, unkId, byteFallback] = [UNIGRAM, 0n, false];
  let charsmap: Uint8Array<ArrayBuffer> | undefined;
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) pieces.push(pieceOf(message(field), pieces.length));
    if (field.number === 2) {
      for (const option of fieldsOf(message(field))) {
        if (option.number === 3) model = whole(option);
        if (option.number === 35) byteFallback = whole(option) !== 0n;
        if (option.number === 40) unkId = whole(option);
      }
    }
    if (field.number === 3) {
      for (const option of fieldsOf(message(field))) if (option.number === 2) charsmap = message(option);
    }
  }
  if (model !== UNIGRAM) {
    throw new SyntaxError(
      `expected a unigram vocabulary, got one of ${MODELS.get(model) ?? `type ${model}`}`,
    );
  }
  if (unkId >= pieces.length || pieces[Number(unkId)]!.type !== PIECE.UNKNOWN) {
    throw new SyntaxError(
      `expected a piece for unknown text, got ${pieces.length} pieces and number ${unkId}`,
    );
  }
  return { pieces, unkId: Number(unkId), byteFallback, charsmap: charsmap?.length ? charsmap : undefined };
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function pieceOf(bytes: Uint8Array<ArrayBuffer>, index: number): Piece {
  let [text, score, type] = ["", 0, PIECE.NORMAL as number];
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) text = textOf(message(field), index);
    if (field.number === 2) score = floatOf(field, index);
    if (field.number === 3) type = Number(whole(field));
  }
  return { text, score, type };
}

function textOf(bytes: Uint8Array<ArrayBuffer>, index: number): string {
  try {
    const text = utf8.decode(bytes);
    if (text) return text;
  } catch { // said below
  }
  throw new SyntaxError(
    `expected text in UTF-8 as piece ${index}, got ${bytes.length ? "other bytes" : "none"}`,
  );
}

function floatOf(field: Field, index: number): number {
  const bytes = message(field);
  const value = bytes.length === 4 ? new DataView(bytes.buffer, bytes.byteOffset).getFloat32(0, true) : NaN;
  if (Number.isFinite(value)) return value;
  throw new SyntaxError(`expected a finite score of piece ${index}, got ${value}`);
}

function message({ number, value }: Field): Uint8Array<ArrayBuffer> {
  if (typeof value !== "bigint") return value;
  throw new SyntaxError(`expected bytes in field ${number}, got a number`);
}

function whole({ number, value }: Field): bigint {
  if (typeof value === "bigint") return value;
  throw new SyntaxError(`expected a number in field ${number}, got bytes`);
}
