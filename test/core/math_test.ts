import assert from "node:assert/strict";
import { betaQuantile, linspace, linspaceF32, roundHalfEven, solve } from "../../src/core/math.ts";
import { assertRelativelyClose } from "../support/close.ts";

Deno.test("linspaceF32() rounds as torch.linspace, from both ends", () => {
  assert.deepEqual([...linspaceF32(0.0001, 0.02, 7)], [
    9.999999747378752e-05,
    0.0034166667610406876,
    0.006733333226293325,
    0.010049999691545963,
    0.013366665691137314,
    0.01668333262205124,
    0.019999999552965164,
  ]);
  assert.deepEqual([...linspaceF32(-6, 6, 4)], [-6, -2, 2, 6]);
  assert.deepEqual([...linspaceF32(0.5, 1, 1)], [0.5]);
});

Deno.test("linspace() ends exactly at its end", () => {
  assert.deepEqual(linspace(0, 999, 4), [0, 333, 666, 999]);
  assert.equal(linspace(0, 0.3, 4).at(-1), 0.3);
  assert.deepEqual(linspace(3, 9, 1), [3]);
});

Deno.test("roundHalfEven() rounds halves to the even number", () => {
  assert.deepEqual([0.5, 1.5, 2.5, 3.4999, 3.5001, 7].map(roundHalfEven), [0, 2, 2, 3, 4, 7]);
});

Deno.test("solve() solves a system that needs its rows exchanged", () => {
  assertRelativelyClose(solve([[0, 2, 1], [1, 0, 0], [3, 1, 2]], [7, 1, 11]), [1, 2, 3], 1e-15, "x");
});

Deno.test("betaQuantile() matches scipy.stats.beta.ppf", () => {
  const [p, want] = [
    [0, 1e-12, 1e-3, 0.01, 0.1, 0.25, 1 / 3, 0.49, 0.5, 0.7, 0.9, 0.999, 1],
    [
      0,
      1.8558824624914097e-20,
      1.855873851745199e-05,
      0.0008612388215429059,
      0.03958440558878085,
      0.17568037865269498,
      0.2754132907776234,
      0.4861289142781599,
      0.5,
      0.7659829961247643,
      0.9604155944112192,
      0.9999814412614826,
      1,
    ],
  ];
  p.forEach((p, i) => {
    const got = betaQuantile(p, 0.6);
    assert.ok(Math.abs(got - want[i]!) <= 1e-14 * want[i]!, `at ${p}: got ${got}, want ${want[i]}`);
  });
  assert.equal(betaQuantile(0.2, 1), 0.2); // uniform
});
