import { Normalizer } from "@huggingface/tokenizers";

const LEAST = 256; // numbers that the root alone takes
const END = 0;

/**
 * sentencepiece's table of what characters become, e.g. Unicode's NFKC with spaces for tabs: the length of a
 * trie in bytes, the trie as a double array (Yata et al., https://github.com/s-yata/darts-clone), then the
 * replacements, each ended by a NUL. The library's own normalizer of the name applies NFKC of this engine
 * instead, which differs.
 */
export class Charsmap extends Normalizer {
  readonly #trie: Uint32Array;
  readonly #texts: Uint8Array<ArrayBuffer>;
  readonly #segmenter = new Intl.Segmenter("en", { granularity: "grapheme" });
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  /** Throws a SyntaxError "expected …, got …" where the bytes are no such table. */
  constructor(bytes: Uint8Array<ArrayBuffer>) {
    super({ type: "Precompiled", precompiled_charsmap: "" });
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const length = bytes.length < 4 ? -1 : view.getUint32(0, true);
    if (length % 4 !== 0 || length < 4 * LEAST || length > bytes.length - 4) {
      throw new SyntaxError(
        `expected a normalizer's table of at least ${4 * LEAST} bytes, got ${length} of ${bytes.length}`,
      );
    }
    this.#trie = Uint32Array.from({ length: length / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
    this.#texts = bytes.subarray(4 + length);
  }

  /**
   * Replaces what the table has, as Hugging Face's tokenizers do it: a grapheme of fewer than six bytes by
   * what its beginning becomes, else each of its characters.
   */
  override normalize(text: string): string {
    let result = "";
    for (const { segment } of this.#segmenter.segment(text)) {
      const whole = this.#encoder.encode(segment);
      const replaced = whole.length < 6 ? this.#replacement(whole) : undefined;
      if (replaced !== undefined) result += replaced;
      else for (const char of segment) result += this.#replacement(this.#encoder.encode(char)) ?? char;
    }
    return result;
  }

  /** The replacement of the shortest beginning of these bytes that is in the table. */
  #replacement(bytes: Uint8Array): string | undefined {
    let at = offsetOf(this.#trie[0]!);
    for (const byte of bytes) {
      if (byte === END) return undefined;
      at ^= byte;
      const unit = this.#trie[at] ?? 0; // no unit of a byte has 0
      if (labelOf(unit) !== byte) return undefined;
      at ^= offsetOf(unit);
      if (hasLeaf(unit)) return this.#text((this.#trie[at] ?? 0) & 0x7fffffff);
    }
    return undefined;
  }

  #text(start: number): string {
    const end = this.#texts.indexOf(END, start);
    return this.#decoder.decode(this.#texts.subarray(start, end < 0 ? undefined : end));
  }
}

// A unit's bits: 0-7 the byte that leads to it, 8 whether a key ends here, 9 and 10-30 where its children lie,
// 31 whether it is a value.

function labelOf(unit: number): number {
  return (unit & 0x800000ff) >>> 0;
}

function hasLeaf(unit: number): boolean {
  return (unit & 0x100) !== 0;
}

function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
