import type { Profile } from "../../form.ts";

type Part = Profile["kernels"][number]["parts"][number];

/** A piece of a line of WGSL. */
export interface Token {
  readonly kind: "comment" | "word" | "number" | "attribute" | "plain";
  readonly text: string;
}

/** A line of a part. */
export interface Line {
  readonly tokens: readonly Token[];
  /** True if the host set its value, or wrote it. */
  readonly isSet: boolean;
}

const WORDS = new Set(
  ("alias break case const const_assert continue continuing default diagnostic discard else enable false fn for if let loop " +
    "override requires return struct switch true var while").split(" "),
);
const TOKEN = /(\/\/.*)|(\d[\w.]*)|(@\w+)|(\w+)|([^\w@/]+|.)/g;

/** A part's lines, with what is to be told apart in them. */
export function linesOf({ text, set, reason }: Part): Line[] {
  const isSet = (line: string) =>
    reason === "written"
      ? line.trim() !== ""
      : set.some((name) => line.startsWith(`const ${name}:`) || line.startsWith(`alias ${name} =`));
  return text.replace(/\n$/, "").split("\n").map((line) => ({ tokens: tokensOf(line), isSet: isSet(line) }));
}

function tokensOf(line: string): Token[] {
  return [...line.matchAll(TOKEN)].map(([text, comment, number, attribute, word]): Token => {
    const kind = comment
      ? "comment"
      : number
      ? "number"
      : attribute
      ? "attribute"
      : word && WORDS.has(word)
      ? "word"
      : "plain";
    return { kind, text };
  });
}

/** True for the part that has the entry point. */
export function isEntry({ text }: Part): boolean {
  return /^[^/\n]*@compute\b/m.test(text);
}
