import assert from "node:assert/strict";
import { parseA1111 } from "../../../src/pipelines/prompt_weights/a1111.ts";
import { chunksOf } from "../../../src/pipelines/prompt_weights/a1111_states.ts";
import { CLIPTokenizer } from "../../../src/tokenizers/mod.ts";
import { fixture } from "../../support/fixtures.ts";

const tokenizer = await CLIPTokenizer.fromPretrained(fixture("stable_diffusion_xl/pipeline"));
tokenizer.addToken("<four>", 4);

/** Tokens in each chunk of a prompt. */
function lengths(prompt: string): number[] {
  return chunksOf(parseA1111(prompt), tokenizer).map(({ ids, weights }) => {
    assert.equal(ids.length, weights.length);
    return ids.length;
  });
}
const words = (count: number) => " a".repeat(count); // a token each

const wanted: [what: string, prompt: string, lengths: number[]][] = [
  ["nothing", "", [0]],
  ["75 words", words(75), [75]],
  ["76 words", words(76), [75, 1]],
  ["a comma that is the 20th token from the end", words(55) + "," + words(20), [56, 20]],
  ["a comma that is the 21st", words(54) + "," + words(21), [75, 1]],
  ["the last of several commas", words(60) + "," + words(5) + "," + words(9), [67, 9]],
  ["a comma at the end of a chunk", words(74) + "," + words(3), [75, 3]],
  ["a comma behind a full chunk", words(75) + "," + words(3), [75, 4]],
  ["two of them", words(60) + "," + words(14) + "," + words(3), [75, 4]],
  ["a comma of the chunk before", words(70) + "," + words(80), [71, 75, 5]],
  ["commas within weights", words(60) + "(," + words(20) + ":1.2)", [61, 20]],
  ["BREAK in front, twice and behind", "BREAK a BREAK BREAK a BREAK", [0, 1, 0, 1]],
  ["a learned token that fits", words(71) + " <four>", [75]],
  ["a learned token that does not", words(72) + " <four>", [72, 4]],
  ["a learned token behind a comma", words(70) + "," + words(4) + " <four>", [71, 8]],
];
for (const [what, prompt, want] of wanted) {
  Deno.test(`A1111's chunks of ${what}`, () => assert.deepEqual(lengths(prompt), want));
}
