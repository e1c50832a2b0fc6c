import assert from "node:assert/strict";
import { streamOf } from "../../src/graph/run/stream.ts";
import { layerNorm, linear } from "../../src/ops/mod.ts";
import { tensor, zeros } from "../../src/tensor/mod.ts";
import { Dice } from "../support/dice.ts";
import { testOnBothEngines } from "../support/engines.ts";
import { Nd } from "../support/nd.ts";
import { assertTensor } from "../support/tensors.ts";

const BOUND = 3e-6;

/** x [B, m, K] times weight [N, K] transposed, plus bias [N]. */
const product = (x: Nd, weight: Nd, bias: Nd) =>
  Nd.from([...x.shape.slice(0, 2), weight.shape[0]!], ([b, m, n]) => {
    let sum = bias.at([n!]);
    for (let k = 0; k < weight.shape[1]!; k++) sum += x.at([b!, m!, k]) * weight.at([n!, k]);
    return sum;
  });

testOnBothEngines("linear() of several pictures takes a gate of each into its product", async (device) => {
  const dice = new Dice(97);
  for (const [B, m, K, N] of [[2, 64, 8, 12], [3, 128, 5, 6], [2, 257, 4, 4]]) {
    const [weight, bias] = [Nd.random(dice, [N!, K!]), Nd.random(dice, [N!])];
    const [wide, gate] = [Nd.random(dice, [B!, m! + 3, K!]), Nd.random(dice, [B!, 1, N!])];
    const residual = Nd.random(dice, [B!, m!, N!]);
    const rows = wide.upload().slice(1, 3); // the rows of each picture begin behind some others
    const y = linear(rows, { weight: weight.upload(), bias: bias.upload() });
    const sum = residual.upload().add(gate.upload().mul(y));
    const want = residual.zip(
      product(wide.slice(1, 3, m! + 3), weight, bias).zip(gate, (a, g) => a * g),
      (a, b) => a + b,
    );
    await assertTensor(sum, want, BOUND, `${B} × ${m}`);
    assert.equal(streamOf(device).statistics.dispatches, 1);
  }
});

testOnBothEngines("linear() of few rows takes the pictures together", async () => {
  const dice = new Dice(98);
  const [weight, bias] = [Nd.random(dice, [6, 5]), Nd.random(dice, [6])];
  const layer = { weight: weight.upload(), bias: bias.upload() };
  for (const m of [1, 7, 63, 65]) {
    const x = Nd.random(dice, [3, m, 5]);
    await assertTensor(linear(x.upload(), layer), product(x, weight, bias), BOUND, `3 × ${m}`);
    const slice = x.upload().slice(1, 1);
    await assertTensor(
      linear(slice, layer),
      product(x.slice(1, 1, m), weight, bias),
      BOUND,
      `a slice of ${m}`,
    );
  }
});

testOnBothEngines("layerNorm() of several pictures takes a scale of each into its kernel", async (device) => {
  const dice = new Dice(99);
  const [x, scale] = [Nd.random(dice, [3, 5, 8]), Nd.random(dice, [3, 1, 8])];
  const y = layerNorm(x.upload(), null, { eps: 1e-6 }).mul(scale.upload());
  const want = Nd.from(x.shape, ([b, n, d]) => {
    const row = Array.from({ length: 8 }, (_, i) => x.at([b!, n!, i]));
    const mean = row.reduce((sum, v) => sum + v, 0) / 8;
    const variance = row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / 8;
    return (row[d!]! - mean) / Math.sqrt(variance + 1e-6) * scale.at([b!, 0, d!]);
  });
  await assertTensor(y, want, BOUND, "scaled");
  assert.equal(streamOf(device).statistics.dispatches, 1);
});

testOnBothEngines(
  "linear() of no inputs gives the bias in the type of x, or in the one asked for",
  async () => {
    const x = zeros([2, 0], { dtype: "f16" });
    const layer = { weight: zeros([3, 0], { dtype: "f16" }), bias: tensor([1, 2, 3], { dtype: "f16" }) };
    const y = linear(x, layer);
    assert.deepEqual([y.dtype, ...await y.data()], ["f16", 1, 2, 3, 1, 2, 3]);
    assert.equal(linear(x, { weight: layer.weight }, { dtype: "f32" }).dtype, "f32");
  },
);
