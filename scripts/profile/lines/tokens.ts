import { codeOf } from "../../../src/gpu/shader/snippet.ts";
import type { Place } from "./syntax.ts";

/** A word, a number, or a sign. */
export interface Token extends Place {
  readonly kind: "word" | "number" | "sign" | "end";
  readonly text: string;
}

const WORD = /[A-Za-z_]\w*/;
const NUMBER = /0[xX][\da-fA-F.]+(?:[pP][+-]?\d+)?[iufh]?|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[iufh]?/;
const SIGN = /<<=|>>=|->|\+\+|--|&&|\|\||[-+*/%&|^<>=!]=|<<|>>|[^\s\w]/;
const TOKEN = new RegExp(`(${WORD.source})|(${NUMBER.source})|(${SIGN.source})`, "g");

/** The tokens of a text, comments left out, and one that is its end. */
export function tokensOf(text: string): Token[] {
  const found = codeOf(text).matchAll(TOKEN).map(({ 0: text, 1: word, 2: number, index: at }): Token => ({
    kind: word ? "word" : number ? "number" : "sign",
    text,
    at,
    end: at + text.length,
  }));
  return [...found, { kind: "end", text: "", at: text.length, end: text.length }];
}
