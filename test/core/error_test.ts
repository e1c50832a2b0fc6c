import assert from "node:assert/strict";
import { nearest } from "../../src/core/error.ts";
import { Dice } from "../support/dice.ts";

Deno.test("nearest() finds the name with the fewest edits", () => {
  const keys = ["conv_in.weight", "conv_out.weight", "conv_out.bias", "time_embedding.linear_1.weight"];
  assert.equal(nearest("conv_ou.weight", keys), "conv_out.weight");
  assert.equal(nearest("conv_out.bais", keys), "conv_out.bias");
  assert.equal(nearest("time_embedding.linear_2.weight", keys), "time_embedding.linear_1.weight");
  assert.equal(nearest("conv_in.weight", keys), "conv_in.weight");
});

Deno.test("nearest() takes the first of equals, and has no answer without candidates", () => {
  assert.equal(nearest("b", ["a", "c"]), "a");
  assert.equal(nearest("", ["abc", "a"]), "a");
  assert.equal(nearest("a", []), undefined);
});

Deno.test("nearest() agrees with plain edit distance on random words", () => {
  const dice = new Dice(2);
  const word = () => Array.from({ length: dice.int(0, 6) }, () => "abcd"[dice.int(0, 3)]).join("");
  for (let round = 0; round < 200; round++) {
    const [name, words] = [word(), Array.from({ length: 6 }, word)];
    const distances = words.map((candidate) => distance(name, candidate));
    assert.equal(nearest(name, words), words[distances.indexOf(Math.min(...distances))]);
  }
});

function distance(a: string, b: string): number {
  if (!a || !b) return a.length + b.length;
  if (a[0] === b[0]) return distance(a.slice(1), b.slice(1));
  return 1 + Math.min(distance(a.slice(1), b), distance(a, b.slice(1)), distance(a.slice(1), b.slice(1)));
}
