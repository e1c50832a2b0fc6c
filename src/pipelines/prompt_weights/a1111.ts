/** A piece of a prompt in A1111's syntax: a text with the weight of its words, or the end of a chunk. */
export type WeightedText = { readonly text: string; readonly weight: number } | "BREAK";

const UP = 1.1; // of "(words)"
const DOWN = 1 / 1.1; // of "[words]"
const NUMBER = String.raw`[+-]?(?:\d+\.?\d*|\.\d+)`;
const BREAK = /(?<![\p{L}\p{N}_])BREAK(?![\p{L}\p{N}_])/u; // a word of its own, in any script
const AND = /(?<![\p{L}\p{N}_])AND(?![\p{L}\p{N}_])/u;
const MARKS = /\\[\\()[\]]?|[()[\]]|:([+-]?[.\d]+)\)|[^\\()[\]:]+|:/g;

/**
 * Reads a prompt as AUTOMATIC1111's web interface does: `(words)` weigh 1.1 times as much, `[words]` as much less,
 * `(words:1.3)` 1.3 times; a backslash in front of a bracket takes its meaning away; brackets that nothing closes
 * count to the end, others that nothing opens are text; BREAK ends a chunk. Within brackets with a weight it is a word,
 * as there. Throws for its prompts that are several: `a AND b`, `[a:b:0.5]`, `[a|b]`.
 */
export function parseA1111(prompt: string): WeightedText[] {
  expectOne(prompt);
  const pieces: { text: string; weight: number; ends?: true }[] = [];
  const round: number[] = []; // the first pieces within brackets that are open
  const square: number[] = [];
  const multiply = (from: number, factor: number) => {
    for (let i = from; i < pieces.length; i++) pieces[i]!.weight *= factor;
  };
  for (const [mark, weight] of prompt.matchAll(MARKS)) {
    if (mark.startsWith("\\")) pieces.push({ text: mark.slice(1), weight: 1 });
    else if (mark === "(") round.push(pieces.length);
    else if (mark === "[") square.push(pieces.length);
    else if (weight !== undefined && round.length > 0) multiply(round.pop()!, weightOf(weight, prompt));
    else if (mark === ")" && round.length > 0) multiply(round.pop()!, UP);
    else if (mark === "]" && square.length > 0) multiply(square.pop()!, DOWN);
    else {
      const texts = mark.split(BREAK);
      for (const [i, text] of texts.entries()) {
        if (i > 0) pieces.push({ text: "BREAK", weight: -1, ends: true });
        const behind = i > 0 ? text.trimStart() : text;
        pieces.push({ text: i < texts.length - 1 ? behind.trimEnd() : behind, weight: 1 });
      }
    }
  }
  for (const from of round) multiply(from, UP);
  for (const from of square) multiply(from, DOWN);
  return joined(pieces);
}

/** Neighbours of one weight as one text. */
function joined(pieces: readonly { text: string; weight: number; ends?: true }[]): WeightedText[] {
  const result: WeightedText[] = [];
  for (const { text, weight, ends } of pieces) {
    const last = result.at(-1);
    if (ends && weight === -1) result.push("BREAK");
    else if (last && last !== "BREAK" && last.weight === weight) {
      result[result.length - 1] = { text: last.text + text, weight };
    } else result.push({ text, weight });
  }
  return result.length > 0 ? result : [{ text: "", weight: 1 }];
}

function weightOf(text: string, prompt: string): number {
  const weight = Number(text);
  if (Number.isFinite(weight)) return weight;
  throw new RangeError(`Cannot read the prompt ${JSON.stringify(prompt)}: expected a weight, got ${text}`);
}

/** Throws where a prompt stands for several: parts that are drawn together, or in turn. */
function expectOne(prompt: string): void {
  const refuse = (what: string) => {
    throw new TypeError(
      `Cannot read the prompt ${
        JSON.stringify(prompt)
      }: ${what} is not built; write one prompt for all steps`,
    );
  };
  if (AND.test(prompt)) refuse("AND, which joins several prompts,");
  const edited = editIn(prompt);
  if (edited) refuse(`prompt editing, ${edited},`);
}

const TIMED = new RegExp(String.raw`^\s*${NUMBER}$`);

/** The first part of a prompt that changes from step to step: `[from:to:when]`, `[to:when]` or `[one|other]`. */
function editIn(prompt: string): string | undefined {
  const open: { bracket: string; at: number; colons: number[]; bar: boolean }[] = [];
  for (const { 0: mark, index } of prompt.matchAll(/\\.|[()[\]:|]/gs)) {
    const top = open.at(-1);
    if (mark === "(" || mark === "[") open.push({ bracket: mark, at: index, colons: [], bar: false });
    else if (mark === ":") top?.colons.push(index);
    else if (mark === "|" && top) top.bar = true;
    else if ((mark === ")" && top?.bracket === "(") || (mark === "]" && top?.bracket === "[")) {
      open.pop();
      const { at, colons, bar } = top!;
      const isTimed = colons.length <= 2 && TIMED.test(prompt.slice((colons.at(-1) ?? index) + 1, index));
      if (mark === "]" && (bar || isTimed)) return prompt.slice(at, index + 1);
    }
  }
  return undefined;
}
