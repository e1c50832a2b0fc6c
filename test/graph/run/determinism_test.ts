import assert from "node:assert/strict";
import { runChild } from "../../support/child.ts";

/** Noise through a little of everything, as the bits of its values. */
const CODE = `
  import { manualSeed, openDevice, randn, weightedSum } from "denoise";
  import { attention, conv2d, groupNorm, silu } from "denoise/ops";
  using device = await openDevice();
  for (let run = 0; run < 2; run++) {
    const generator = manualSeed(7);
    const noise = (...shape) => randn(shape, { generator });
    const x = noise(1, 4, 6, 5);
    const h = conv2d(silu(groupNorm(x, {}, { groups: 2 })), { weight: noise(4, 4, 3, 3), bias: noise(4) }, { padding: 1 });
    const q = h.reshape([1, 1, 4, 30]).permute([0, 1, 3, 2]);
    const y = weightedSum([0.3, attention(q, q, q)], [0.7, q]).add(h.mean());
    console.log(new Uint32Array((await y.data()).buffer).join());
  }`;

Deno.test("equal seeds give equal bits, twice in a process and in two processes", async () => {
  const outcomes = await Promise.all([runChild(CODE), runChild(CODE)]);
  const lines = outcomes.flatMap(({ stdout, stderr, code }) => {
    assert.equal(code, 0, stderr);
    return stdout.trim().split("\n");
  });
  assert.equal(lines.length, 4);
  assert.ok(lines[0]!.split(",").length === 120 && new Set(lines[0]!.split(",")).size > 100);
  for (const line of lines) assert.equal(line, lines[0]);
});
