import assert from "node:assert/strict";
import { parseJson } from "../../../src/io/files/json.ts";
import { seeded } from "../../support/files.ts";

Deno.test("parseJson() agrees with JSON.parse on valid and on broken text", () => {
  const random = seeded(1);
  const good = JSON.stringify(
    { first: [1, -0.5, 1e-7, 'x\n"\\é\u2028😀', null, true], "": { b: [] }, second: {} },
    null,
    1,
  );
  for (let i = 0; i < 3000; i++) {
    const at = Math.floor(random() * good.length);
    const mark = '{}[]:,"\\0 e-.tn\n\u0001'[Math.floor(random() * 18)];
    const text = good.slice(0, at) + (i % 2 ? mark : "") + good.slice(at + Math.floor(random() * 2));
    let expected: unknown;
    try {
      expected = JSON.parse(text);
    } catch {
      assert.throws(
        () => parseJson(text, "x"),
        /^SyntaxError: Cannot load x: expected .+ at line \d+, column \d+; /,
      );
      continue;
    }
    assert.deepEqual(parseJson(text, "x"), expected);
  }
});

Deno.test("parseJson() takes the numbers that Python writes", () => {
  assert.deepEqual(parseJson('{"a": -Infinity, "b": [NaN, Infinity]}', "x"), {
    a: -Infinity,
    b: [NaN, Infinity],
  });
});

Deno.test("parseJson() makes __proto__ a key like others", () => {
  const parsed = parseJson('{"__proto__": {"polluted": 1}, "constructor": 2}', "x") as Record<
    string,
    unknown
  >;
  assert.deepEqual(Object.keys(parsed), ["__proto__", "constructor"]);
  assert.equal(Object.getPrototypeOf(parsed), Object.prototype);
  assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
});

Deno.test("parseJson() takes the last value of a key that comes twice, as Python does", () => {
  assert.deepEqual(parseJson('{"a": 1, "b": 2, "a": {"c": 3, "c": 4}}', "x"), { a: { c: 4 }, b: 2 });
  const last = parseJson('{"__proto__": 1, "__proto__": 2}', "x") as object;
  assert.deepEqual(Object.entries(last), [["__proto__", 2]]);
});

const broken: [string, string][] = [
  ['{"a": 1,\n "b" 2}', 'expected : after "b", got "2" at line 2, column 6'],
  ['{"a": [1, 2', "expected , or ] in the list, got the end of the text at line 1, column 12"],
  ['{"a": "b', 'expected a closing ", got the end of the text at line 1, column 9'],
  ["{'a': 1}", `expected a key in double quotes, got "'" at line 1, column 2`],
  ['{"a": 1,}', 'expected a key in double quotes, got "}" at line 1, column 9'],
  ['{"a": True}', 'expected a value for "a", got "T" at line 1, column 7'],
  ['{"a": 1} x', 'expected the end of the text, got "x" at line 1, column 10'],
  ['{"a": 1, "a": 2}', 'expected the key "a" once, got it twice at line 1, column 10'],
  ["", "expected a value, got the end of the text at line 1, column 1"],
];

for (const [text, problem] of broken) {
  Deno.test(`parseJson() of ${JSON.stringify(text)} says where and what it expected`, () => {
    const message = `Cannot load ./config.json: ${problem}; correct it or download it again`;
    assert.throws(() => parseJson(text, "./config.json", { unique: true }), { name: "SyntaxError", message });
  });
}
