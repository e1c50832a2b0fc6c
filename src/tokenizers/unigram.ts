import { Model } from "@huggingface/tokenizers";

/** Vocabulary of a unigram model. */
export interface UnigramVocabulary {
  /** Pieces with the logarithms of their probabilities, by their ids. */
  readonly vocab: readonly (readonly [string, number])[];
  /** The piece that stands for what has none. */
  readonly unk_id: number;
  /** True if characters without a piece fall into pieces of one byte each, "<0x00>" to "<0xFF>". */
  readonly byte_fallback: boolean;
}

const PENALTY = 10; // of a character without a piece, below the least probable piece

/**
 * Takes words apart into the pieces of the greatest probability (Kudo 2018). The library's own rounds sums
 * otherwise than Hugging Face's tokenizers, which decides between equally probable ways, takes many times as
 * long, and has no bytes.
 */
export class Unigram extends Model {
  readonly #scores: Float64Array;
  readonly #bytes: boolean;
  readonly #unknown: number;
  /** Nodes by their parent and the next UTF-16 unit: parent · 2¹⁶ + unit. */
  readonly #children = new Map<number, number>();
  /** The piece that ends at each node, or -1. */
  readonly #pieces: number[] = [-1];

  /** Takes pieces of the same text for the last of them. */
  constructor({ vocab, unk_id, byte_fallback }: UnigramVocabulary) {
    super({ type: "Unigram", vocab: [], unk_id });
    this.vocab = vocab.map(([text]) => text);
    this.tokens_to_ids = new Map(this.vocab.map((text, id) => [text, id]));
    this.unk_token_id = unk_id;
    this.unk_token = this.vocab[unk_id]!;
    this.#scores = Float64Array.from(vocab, ([, score]) => score);
    this.#unknown = this.#scores.reduce((a, b) => Math.min(a, b)) - PENALTY;
    this.#bytes = byte_fallback;
    this.vocab.forEach((text, id) => this.#insert(text, id));
  }

  /** The pieces of words; neighbours without a piece stay one. */
  override encode(words: string[]): string[] {
    return words.flatMap((word) => this.#split(word)).flatMap((piece) => this.#known(piece));
  }

  #insert(text: string, id: number): void {
    let node = 0;
    for (let i = 0; i < text.length; i++) {
      const key = node * 0x10000 + text.charCodeAt(i);
      const next = this.#children.get(key) ?? this.#pieces.push(-1) - 1;
      this.#children.set(key, next);
      node = next;
    }
    if (node > 0) this.#pieces[node] = id;
  }

  /** The best way to the end of a word; of equal ones that whose last piece begins first. */
  #split(word: string): string[] {
    const best = new Float64Array(word.length + 1);
    const starts = new Int32Array(word.length + 1).fill(-1);
    const ids = new Int32Array(word.length + 1);
    const offer = (start: number, end: number, id: number, score: number) => {
      const total = score + best[start]!;
      if (starts[end]! >= 0 && total <= best[end]!) return;
      [best[end], starts[end], ids[end]] = [total, start, id];
    };
    for (let start = 0, length = 0; start < word.length; start += length) {
      length = word.codePointAt(start)! > 0xffff ? 2 : 1;
      let alone = false;
      let node: number | undefined = 0;
      for (let end = start; end < word.length;) {
        node = this.#children.get(node * 0x10000 + word.charCodeAt(end++));
        if (node === undefined) break;
        const id = this.#pieces[node]!;
        if (id < 0) continue;
        offer(start, end, id, this.#scores[id]!);
        alone ||= end - start === length;
      }
      if (!alone) offer(start, start + length, this.unk_token_id!, this.#unknown);
    }
    const pieces: string[] = [];
    let unknown = word.length; // where the neighbours without a piece end
    for (let end = word.length; end > 0;) {
      const start = starts[end]!;
      if (ids[end] !== this.unk_token_id) {
        if (unknown > end) pieces.push(word.slice(end, unknown));
        pieces.push(word.slice(start, end));
        unknown = start;
      }
      end = start;
    }
    if (unknown > 0) pieces.push(word.slice(0, unknown));
    return pieces.reverse();
  }

  /** A piece, or the pieces of its bytes where it is none. */
  #known(piece: string): string[] {
    if (!this.#bytes || this.tokens_to_ids.has(piece)) return [piece];
    const bytes = Array.from(
      new TextEncoder().encode(piece),
      (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
    );
    return bytes.every((byte) => this.tokens_to_ids.has(byte)) ? bytes : [piece];
  }
}
