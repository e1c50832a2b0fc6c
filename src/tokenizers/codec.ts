import type { Tokenizer } from "@huggingface/tokenizers";
import type { AddedToken } from "./added_tokens.ts";
import type { AddedVocabulary } from "./added_vocabulary.ts";

/** Parts of a codec. */
export interface CodecParts {
  /** The library's tokenizer, which knows of no added tokens. */
  readonly tokenizer: Tokenizer;
  /** The tokens added to its vocabulary. */
  readonly added: AddedVocabulary;
  /** Texts of the tokens that stand in front of every text. */
  readonly front: readonly string[];
  /** Texts of the tokens that stand behind every text. */
  readonly back: readonly string[];
}

/** From a text to ids and back: added tokens are cut out, and what is left is taken apart by the model. */
export class Codec {
  readonly #parts: CodecParts;
  /** Ids that stand in front of every text. */
  readonly front: readonly number[];
  /** Ids that stand behind every text. */
  readonly back: readonly number[];

  /** Every token of `front` and `back` has an id. */
  constructor(parts: CodecParts) {
    this.#parts = parts;
    this.front = parts.front.map((token) => this.idOf(token)!);
    this.back = parts.back.map((token) => this.idOf(token)!);
    const { decoder } = parts.tokenizer;
    if (decoder) decoder.added_tokens = [...parts.added.tokens].map(([id, token]) => ({ ...token, id }));
  }

  /** The id of a token, of either vocabulary. */
  idOf(token: string): number | undefined {
    return this.#parts.added.idOf(token);
  }

  /** The token of an id; the unknown one, or "", where nobody has it. */
  tokenOf(id: number): string {
    const { tokenizer: { model }, added } = this.#parts;
    return added.tokens.get(id)?.content ?? model!.vocab[id] ?? model!.unk_token ?? "";
  }

  /** The first id that is nobody's, before tokens are added by `with`. */
  get free(): number {
    return this.#parts.added.free;
  }

  /** The same with further added tokens, by their ids. */
  with(further: ReadonlyMap<number, AddedToken>): Codec {
    return new Codec({ ...this.#parts, added: this.#parts.added.with(further) });
  }

  /** The ids of a text, without those around every text. */
  encode(text: string): number[] {
    return this.#parts.added.split(text).flatMap((piece) => "id" in piece ? piece.id : this.#idsOf(piece));
  }

  /** The text that ids stand for, as far as it was kept. */
  decode(ids: readonly number[], skipSpecialTokens: boolean): string {
    const { tokenizer: { model, decoder }, added } = this.#parts;
    const tokens = ids.filter((id) => !(skipSpecialTokens && added.tokens.get(id)?.special))
      .map((id) => this.tokenOf(id));
    const text = decoder ? decoder.decode(tokens) : tokens.join(" ");
    const suffix = model!.end_of_word_suffix;
    return (suffix ? text.replaceAll(suffix, " ") : text).trim();
  }

  #idsOf({ text, first }: { text: string; first: boolean }): number[] {
    const { pre_tokenizer, model } = this.#parts.tokenizer;
    const words = pre_tokenizer ? pre_tokenizer.pre_tokenize(text, { section_index: first ? 0 : 1 }) : [text];
    return model!._call(words).map((token) => {
      const id = model!.tokens_to_ids.get(token) ?? model!.unk_token_id;
      if (id !== undefined) return id;
      throw new TypeError(
        `Cannot tokenize ${JSON.stringify(text)}: expected an unknown token in the vocabulary, got none`,
      );
    });
  }
}
