import assert from "node:assert/strict";
import { openDevice } from "../../src/gpu/open.ts";
import { attention, type AttentionOptions } from "../../src/ops/mod.ts";
import { zeros } from "../../src/tensor/mod.ts";
import { assertClose } from "../support/close.ts";
import { Dice } from "../support/dice.ts";
import { testOnBothEngines } from "../support/engines.ts";
import { Nd } from "../support/nd.ts";
import { assertTensor } from "../support/tensors.ts";

const BOUND = 3e-6;

/** softmax(scale · q kᵀ + mask) v by loops, for one row of the scores. */
function attendedRow(
  q: Nd,
  k: Nd,
  v: Nd,
  [b, h, i]: number[],
  { scale, causal }: AttentionOptions,
  mask?: Nd,
): number[] {
  const [S, D] = k.shape.slice(2);
  const scores = Array.from({ length: S }, (_, j) => {
    if (causal && j > i) return -Infinity;
    let sum = 0;
    for (let d = 0; d < D; d++) sum += q.at([b, h, i, d]) * k.at([b, h, j, d]);
    return sum * (scale ?? 1 / Math.sqrt(D)) + (mask?.at([b, h, i, j]) ?? 0);
  });
  const peak = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - peak));
  const total = powers.reduce((a, b) => a + b, 0);
  return Array.from(
    { length: v.shape[3] },
    (_, d) => powers.reduce((sum, power, j) => sum + power * v.at([b, h, j, d]), 0) / total,
  );
}

const reference = (q: Nd, k: Nd, v: Nd, options: AttentionOptions = {}, mask?: Nd) =>
  Nd.from(
    [...q.shape.slice(0, 3), v.shape[3]],
    ([b, h, i, d]) => attendedRow(q, k, v, [b, h, i], options, mask)[d],
  );

testOnBothEngines("attention() with masks that broadcast in each way", async (device) => {
  const dice = new Dice(70);
  const [B, H, L, S, D] = [2, 3, 5, 7, 6];
  const [q, k, v] = [L, S, S].map((n) => Nd.random(dice, [B, H, n, D]));
  const shapes = [undefined, [S], [B, 1, 1, S], [L, S], [H, L, S], [1, H, L, 1], [B, H, L, S]];
  const few = device.engine === "deno"; // each is a pipeline of its own, which costs a second there
  for (const shape of few ? shapes.slice(0, 3) : shapes) {
    const mask = shape && Nd.random(dice, shape).map((v) => v > 1.2 ? -Infinity : Math.fround(v));
    const y = attention(q.upload(), k.upload(), v.upload(), { mask: mask?.upload() });
    await assertTensor(y, reference(q, k, v, {}, mask), BOUND, `mask [${shape}]`);
  }
});

testOnBothEngines("attention() with a scale, causal, over views of [B, L, H · D]", async () => {
  const dice = new Dice(71);
  const [B, H, L, D] = [2, 2, 9, 4];
  const packed = Array.from({ length: 3 }, () => Nd.random(dice, [B, L, H * D]));
  const [q, k, v] = packed.map((nd) => nd.reshape([B, L, H, D]).permute([0, 2, 1, 3]));
  const [tq, tk, tv] = packed.map((nd) => nd.upload().reshape([B, L, H, D]).permute([0, 2, 1, 3]));
  const options = { scale: 0.3, causal: true };
  const y = attention(tq, tk, tv, options);
  await assertTensor(y, reference(q, k, v, options), BOUND, "causal");
  const flat = reference(q, k, v, options).permute([0, 2, 1, 3]).reshape([B, L, H * D]);
  await assertTensor(y.permute([0, 2, 1, 3]).reshape([B, L, H * D]), flat, BOUND, "merged heads");
});

testOnBothEngines(
  "causal attention() may have more keys than queries, values of another width, and turned inputs",
  async () => {
    const dice = new Dice(72);
    const [q, k, v] = [[1, 2, 3, 5], [1, 2, 8, 5], [1, 2, 8, 3]].map((shape) => Nd.random(dice, shape));
    const turned = k.permute([0, 1, 3, 2]).upload().permute([0, 1, 3, 2]);
    const y = attention(q.upload(), turned, v.upload(), { causal: true });
    await assertTensor(y, reference(q, k, v, { causal: true }), BOUND, "cross");
  },
);

Deno.test("attention() over several blocks of queries sees the right rows of mask and causal order", async () => {
  using _device = await openDevice();
  const dice = new Dice(73);
  const [L, S, D] = [3000, 3500, 4]; // 10.5 million scores: two blocks
  const [q, k, v] = [L, S, S].map((n) => Nd.random(dice, [1, 1, n, D]));
  const slope = Nd.from([L, 1], ([i]) => i % 7);
  const got = await attention(q.upload(), k.upload(), v.upload(), { causal: true, mask: slope.upload() })
    .data();
  for (const i of [0, 1, 2395, 2396, 2397, 2999]) {
    const want = attendedRow(q, k, v, [0, 0, i], { causal: true }, slope);
    assertClose(got.slice(i * D, i * D + D), want, 1e-5, `row ${i}`);
  }
});

Deno.test("attention() refuses keys that are not of the queries' batch, heads or width", async () => {
  using _device = await openDevice();
  const q = zeros([1, 2, 3, 4]);
  for (const k of [zeros([1, 3, 3, 4]), zeros([2, 2, 3, 4]), zeros([1, 2, 3, 5]), zeros([2, 3, 4])]) {
    assert.throws(() => attention(q, k, k), /^RangeError: Cannot attend with /);
  }
});
