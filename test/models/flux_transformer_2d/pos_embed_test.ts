import assert from "node:assert/strict";
import { fluxPosEmbed } from "../../../src/models/flux_transformer_2d/pos_embed.ts";

Deno.test("fluxPosEmbed() turns each axis' own pairs, the first the fastest", () => {
  const { cos, sin } = fluxPosEmbed([[0, 0], [2, -3]], [2, 4]);
  assert.deepEqual([...cos.subarray(0, 3)], [1, 1, 1]);
  assert.deepEqual([...sin.subarray(0, 3)], [0, 0, 0]);
  const angles = [2, -3, -3 / 100]; // θ^(−2/4) = 1/100
  assert.deepEqual([...cos.subarray(3)], angles.map((angle) => Math.fround(Math.cos(angle))));
  assert.deepEqual([...sin.subarray(3)], angles.map((angle) => Math.fround(Math.sin(angle))));
});

Deno.test("fluxPosEmbed() keeps the digits of angles in the thousands", () => {
  const { cos } = fluxPosEmbed([[4095.5]], [16]);
  assert.equal(cos[0], Math.fround(Math.cos(4095.5)));
  assert.equal(cos[1], Math.fround(Math.cos(4095.5 / 10000 ** (2 / 16))));
});

Deno.test("fluxPosEmbed() takes positions in f32, as the tensors of diffusers are", () => {
  const position = 0.1 + 1e-10;
  assert.deepEqual(fluxPosEmbed([[position]], [2]), fluxPosEmbed([[Math.fround(position)]], [2]));
});
