import assert from "node:assert/strict";
import { parseA1111 } from "../../../src/pipelines/prompt_weights/a1111.ts";
import { parseCompel } from "../../../src/pipelines/prompt_weights/compel.ts";
import { cpuMs } from "../../support/cpu_time.ts";
import { fixture } from "../../support/fixtures.ts";

const { a1111, grammar } = JSON.parse(await Deno.readTextFile(fixture("prompt_weights/cases.json"))) as {
  a1111: Record<string, { prompt: string; pieces: ReturnType<typeof parseA1111> }[]>;
  grammar: ({ prompt: string } & ReturnType<typeof parseCompel>)[];
};

/** Pieces as A1111's documentation writes them. */
function pairs(prompt: string): [string, number][] {
  return parseA1111(prompt).map((piece) => piece === "BREAK" ? ["BREAK", -1] : [piece.text, piece.weight]);
}

// The examples in the documentation of parse_prompt_attention, modules/prompt_parser.py of A1111's web interface.
const documented: [prompt: string, pieces: [string, number][]][] = [
  ["normal text", [["normal text", 1]]],
  ["an (important) word", [["an ", 1], ["important", 1.1], [" word", 1]]],
  ["(unbalanced", [["unbalanced", 1.1]]],
  [String.raw`\(literal\]`, [["(literal]", 1]]],
  ["(unnecessary)(parens)", [["unnecessaryparens", 1.1]]],
  ["a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).", [
    ["a ", 1],
    ["house", 1.5730000000000004],
    [" ", 1.1],
    ["on", 1],
    [" a ", 1.1],
    ["hill", 0.55],
    [", sun, ", 1.1],
    ["sky", 1.4641000000000006],
    [".", 1.1],
  ]],
];

Deno.test("prompts are cut into weighted pieces as in A1111's own examples", () => {
  for (const [prompt, pieces] of documented) assert.deepEqual(pairs(prompt), pieces, prompt);
});

Deno.test("A1111's brackets, colons, backslashes and BREAK where nothing fits them", () => {
  const wanted: [prompt: string, pieces: [string, number][]][] = [
    ["", [["", 1]]],
    ["a) b] c", [["a) b] c", 1]]],
    ["[unbalanced", [["unbalanced", 1 / 1.1]]],
    ["a:1.5) b", [["a:1.5) b", 1]]],
    ["a: b (c: d)", [["a: b ", 1], ["c: d", 1.1]]],
    [String.raw`(a\:1.5) \\ \x`, [["a", 1.5], [" \\ x", 1]]],
    ["(a:-.5)(b:+2.)", [["a", -0.5], ["b", 2]]],
    ["[a:b]", [["a:b", 1 / 1.1]]],
    ["a|b", [["a|b", 1]]],
    ["aBREAK éBREAK", [["aBREAK éBREAK", 1]]],
    ["a BREAK  b", [["a", 1], ["BREAK", -1], ["b", 1]]],
    ["BREAKBREAK BREAK", [["BREAKBREAK", 1], ["BREAK", -1], ["", 1]]],
    ["(a BREAK b:2)", [["a", 2], ["BREAK", -2], ["b", 2]]], // a word, as there
  ];
  for (const [prompt, pieces] of wanted) {
    const joined = pairs(prompt);
    assert.equal(joined.map(([text]) => text).join(""), pieces.map(([text]) => text).join(""), prompt);
    assert.deepEqual(joined, merged(pieces), prompt);
  }
});

/** Neighbours of one weight as one. */
function merged(pieces: [string, number][]): [string, number][] {
  return pieces.reduce<[string, number][]>((done, [text, weight]) => {
    const last = done.at(-1);
    if (last?.[1] === weight) last[0] += text;
    else done.push([text, weight]);
    return done;
  }, []);
}

Deno.test("the fixture's prompts in A1111's syntax are cut as they were by hand", () => {
  for (const { prompt, pieces } of Object.values(a1111).flat()) {
    assert.deepEqual(parseA1111(prompt), pieces, prompt);
  }
});

Deno.test("long prompts in A1111's syntax are cut at once: spaces in front of no BREAK, brackets that nothing closes", async () => {
  for (
    const prompt of [`a${" ".repeat(50_000)}b`, "(a".repeat(10_000), "(a".repeat(10_000) + ")".repeat(10_000)]
  ) {
    const ms = await cpuMs(() => parseA1111(prompt));
    assert.ok(ms < 1000, `took ${ms} ms`);
  }
});

Deno.test("A1111's prompts that are several are refused by name, and weights that are none", () => {
  const wrong: [prompt: string, what: string][] = [
    ["a cat AND a dog", "AND, which joins several prompts, is not built; write one prompt for all steps"],
    ["a [cat:dog:0.5]", "prompt editing, [cat:dog:0.5], is not built; write one prompt for all steps"],
    ["a [(cat:1.2):10] b", "prompt editing, [(cat:1.2):10], is not built; write one prompt for all steps"],
    ["[a::.5]", "prompt editing, [a::.5], is not built; write one prompt for all steps"],
    ["[a|(b:2)|c]", "prompt editing, [a|(b:2)|c], is not built; write one prompt for all steps"],
    ["(a:1.2.3)", "expected a weight, got 1.2.3"],
    ["(a:.)", "expected a weight, got ."],
    [`(a:${"9".repeat(400)})`, `expected a weight, got ${"9".repeat(400)}`],
  ];
  for (const [prompt, what] of wrong) {
    assert.throws(() => parseA1111(prompt), {
      message: `Cannot read the prompt ${JSON.stringify(prompt)}: ${what}`,
    });
  }
});

for (const { prompt, ...wanted } of grammar) {
  Deno.test(`compel's grammar reads ${JSON.stringify(prompt)}`, () => {
    const { parts, weights } = parseCompel(prompt);
    assert.deepEqual(
      { parts: parts.map((part) => "prompts" in part ? { ...part, name: undefined } : part), weights },
      {
        ...wanted,
        parts: wanted.parts.map((part) => "prompts" in part ? { ...part, name: undefined } : part),
      },
    );
  });
}

Deno.test("compel's prompts that are not built are refused by name, as are weights that do not fit", () => {
  const deep = "(".repeat(200) + "a" + ")".repeat(200);
  const wrong: [prompt: string, what: string][] = [
    ["a cat.swap(dog)", ".swap() is not built; write the words that are to be drawn"],
    ["a withLora(x, 0.5)", "a LoRA is not part of a prompt here; load it by loadLoraWeights"],
    ['("a", "b").blend(1)', "expected 2 weights, one for each prompt, got 1"],
    ['("a", "b").and(1, x)', "expected 2 weights, one for each prompt, got 1, x"],
    ['("a", "b").blend(1, -1)', "expected weights whose sum is not 0, got 1, -1"],
    ['("a", "b").blend(1, 1) c', 'expected nothing behind .blend(), got "c"'],
    ['("a", "b").and() c', 'expected nothing behind .and(), got "c"'],
    [`(a)${"9".repeat(400)}`, `expected a weight, got ${"9".repeat(20)}…, which no number holds`],
    [`a${"+".repeat(9000)}`, `expected a weight, got ${"+".repeat(20)}…, which no number holds`],
    [deep, "expected at most 100 brackets within each other, got more"],
  ];
  for (const [prompt, what] of wrong) {
    assert.throws(() => parseCompel(prompt), ({ message }: Error) => message.endsWith(`: ${what}`), prompt);
  }
});

Deno.test("compel's grammar takes no longer for brackets within each other than for others", async () => {
  const deep = "(".repeat(80) + "a" + ")".repeat(80) + "++".repeat(3);
  const ms = await cpuMs(() => {
    assert.equal(parseCompel(deep).parts.length, 1);
    parseCompel("(".repeat(90) + " word".repeat(1000));
  });
  assert.ok(ms < 1000, `took ${ms} ms`);
});
