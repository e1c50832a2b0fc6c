import type { AddedToken } from "./added_tokens.ts";

/** A model's own vocabulary, to which tokens are added. */
export interface ModelVocabulary {
  /** Number of its tokens. */
  readonly size: number;
  /** The id of a token of it. */
  idOf(token: string): number | undefined;
  /** The text as its model changes it before it takes it apart. */
  normalize(text: string): string;
}

/** A piece of a text: an added token, or normalized text between added tokens. */
export type Piece = { readonly id: number } | {
  readonly text: string;
  /** True if nothing of the text stands before it. */
  readonly first: boolean;
};

/** Tokens that are searched for together, and their ids by what is searched for. */
interface Search {
  readonly pattern: RegExp;
  readonly ids: ReadonlyMap<string, number>;
}

const WORD = String.raw`[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]`;
const BEGINS_AS_WORD = new RegExp(`^${WORD}`, "u");
const ENDS_AS_WORD = new RegExp(`${WORD}$`, "u");
const SPACE = /\p{White_Space}/u;

/**
 * Tokens beside the vocabulary of a model, which are found in a text before it is taken apart; as in Hugging
 * Face's tokenizers (https://github.com/huggingface/tokenizers, added_vocabulary.rs). Those that are not
 * normalized are cut out of the text first, the others of what is left, once it is normalized.
 */
export class AddedVocabulary {
  readonly #vocabulary: ModelVocabulary;
  readonly #splitsSpecial: boolean;
  readonly #ids = new Map<string, number>();
  /** Tokens by id; the last description of an id counts. */
  readonly #tokens = new Map<number, AddedToken>();
  /** The first id that is nobody's. */
  readonly free: number;
  readonly #own: readonly AddedToken[];
  readonly #exact: Search;
  readonly #normalized: Search;

  /** A token that neither the vocabulary nor the tokens before have gets the next free id. */
  constructor(
    vocabulary: ModelVocabulary,
    tokens: readonly AddedToken[],
    { splitsSpecial = false, further = new Map() }: {
      splitsSpecial?: boolean;
      /** Tokens behind these, with ids of their own. */
      further?: ReadonlyMap<number, AddedToken>;
    } = {},
  ) {
    this.#vocabulary = vocabulary;
    this.#splitsSpecial = splitsSpecial;
    this.#own = tokens;
    const added = tokens.filter(({ content }) => content !== "");
    let free = vocabulary.size;
    for (const token of added) {
      const id = this.idOf(token.content) ?? free;
      free = Math.max(free, id + 1);
      this.#ids.set(token.content, id);
      this.#tokens.set(id, token);
    }
    this.free = free;
    for (const [id, token] of further) {
      this.#ids.set(token.content, id);
      this.#tokens.set(id, token);
    }
    const last = [...this.#tokens.values()];
    this.#exact = this.#search(last.filter(({ normalized }) => !normalized), (content) => content);
    this.#normalized = this.#search(
      last.filter(({ normalized }) => normalized),
      (content) => vocabulary.normalize(content),
    );
  }

  /** The same vocabulary with further tokens in place of those that it was given so. */
  with(further: ReadonlyMap<number, AddedToken>): AddedVocabulary {
    return new AddedVocabulary(this.#vocabulary, this.#own, { splitsSpecial: this.#splitsSpecial, further });
  }

  /** The tokens by their ids. */
  get tokens(): ReadonlyMap<number, AddedToken> {
    return this.#tokens;
  }

  /** The id of an added token, or of one of the model's vocabulary. */
  idOf(token: string): number | undefined {
    return this.#ids.get(token) ?? this.#vocabulary.idOf(token);
  }

  /** A text's added tokens, and the normalized text between them. */
  split(text: string): Piece[] {
    const pieces: Piece[] = [];
    for (const outer of this.#find(text, this.#exact)) {
      if ("id" in outer) {
        pieces.push(outer);
        continue;
      }
      const inner = this.#find(this.#vocabulary.normalize(outer.text), this.#normalized);
      pieces.push(
        ...inner.map((piece) => "id" in piece ? piece : { ...piece, first: piece.first && outer.first }),
      );
    }
    return pieces;
  }

  #search(tokens: readonly AddedToken[], form: (content: string) => string): Search {
    const ids = new Map<string, number>();
    for (const { content } of tokens) {
      const wanted = form(content);
      if (wanted !== "" && !ids.has(wanted)) ids.set(wanted, this.idOf(content)!);
    }
    const longestFirst = [...ids.keys()].sort((a, b) => b.length - a.length);
    return {
      pattern: new RegExp(longestFirst.map((wanted) => RegExp.escape(wanted)).join("|") || "(?!)", "gu"),
      ids,
    };
  }

  #find(text: string, { pattern, ids }: Search): Piece[] {
    const pieces: Piece[] = [];
    let done = 0;
    const between = (end: number) => {
      if (end > done) pieces.push({ text: text.slice(done, end), first: done === 0 });
    };
    for (const { 0: found, index } of text.matchAll(pattern)) {
      const id = ids.get(found)!;
      const { lstrip, rstrip, single_word, special } = this.#tokens.get(id)!;
      if (special && this.#splitsSpecial) continue;
      let [start, end] = [index, index + found.length];
      if (single_word && isWithinWord(text, start, end)) continue;
      while (lstrip && start > done && SPACE.test(text[start - 1]!)) start--;
      while (rstrip && end < text.length && SPACE.test(text[end]!)) end++;
      if (lstrip) start = Math.max(start, done);
      if (start >= end) continue; // spaces that the token before has taken
      between(start);
      pieces.push({ id });
      done = end;
    }
    between(text.length);
    return pieces;
  }
}

/** True if a word goes on before or behind a part of a text. */
function isWithinWord(text: string, start: number, end: number): boolean {
  return ENDS_AS_WORD.test(text.slice(Math.max(0, start - 2), start)) || // a character has up to two units
    BEGINS_AS_WORD.test(text.slice(end, end + 2));
}
