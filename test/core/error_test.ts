import assert from "node:assert/strict";
import { expectOptions, nearest, probablyMeant } from "../../src/core/error.ts";
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
  const turned = a.length > 1 && a[0] === b[1] && a[1] === b[0];
  return Math.min(
    distance(a.slice(1), b.slice(1)) + (a[0] === b[0] ? 0 : 1),
    1 + distance(a.slice(1), b),
    1 + distance(a, b.slice(1)),
    turned ? 1 + distance(a.slice(2), b.slice(2)) : Infinity,
  );
}

Deno.test("probablyMeant() finds other spellings, beginnings, ends and slips, and nothing that is far", () => {
  const names = ["guidanceScale", "numInferenceSteps", "generator", "dtype", "height"];
  const expected: Record<string, string | undefined> = {
    guidance_scale: "guidanceScale",
    "Guidance Scale": "guidanceScale",
    guidance: "guidanceScale",
    guidanceScal: "guidanceScale",
    num_inference_step: "numInferenceSteps",
    torch_dtype: "dtype",
    hieght: "height",
    dytpe: "dtype",
    generater: "generator",
    banana: undefined,
    x: undefined,
    "": undefined,
  };
  for (const [name, found] of Object.entries(expected)) assert.equal(probablyMeant(name, names), found, name);
  assert.equal(probablyMeant("a", []), undefined);
});

Deno.test("expectOptions() refuses what is not known, and takes undefined for nothing", () => {
  expectOptions("draw", { size: 1, odd: undefined }, ["size"]);
  assert.throws(() => expectOptions("draw", { sise: 1 }, ["size", "steps"]), {
    name: "TypeError",
    message: "Cannot draw with sise: no such option; did you mean size?",
  });
  assert.throws(() => expectOptions("draw", { color: 1 }, ["size", "steps"]), {
    message: "Cannot draw with color: no such option; expected some of size, steps",
  });
  assert.throws(() => expectOptions("draw", { color: 1 }, ["size"], () => "it is for painters"), {
    message: "Cannot draw with color: no such option; it is for painters",
  });
});
