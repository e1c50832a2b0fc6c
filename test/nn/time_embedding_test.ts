import { graphText } from "../../src/graph/dump/text.ts";
import assert from "node:assert/strict";
import { openDevice } from "../../src/gpu/open/open.ts";
import {
  gaussianFourierProjection,
  timeProjections,
  timestepEmbeddingMLP,
} from "../../src/nn/time_embedding.ts";
import { ones, tensor } from "../../src/tensor/mod.ts";
import { assertClose } from "../support/close.ts";
import type { Parameter } from "../../src/ops/low_rank.ts";
import { linear } from "../../src/ops/mod.ts";
import "../support/device.ts";
import { Dice } from "../support/dice.ts";
import { asGpu } from "../support/engines.ts";
import { Nd } from "../support/nd.ts";
import { parameter } from "../support/parameter.ts";
import { traced } from "../support/traced.ts";

Deno.test("gaussianFourierProjection() keeps its digits at angles of thousands", async () => {
  const logT = [-4.5, 0, 0.1, 6.9].map(Math.fround);
  const frequencies = [-80.3, -16, 0, 0.37, 5, 71.9].map(Math.fround);
  const f = Math.fround;
  const angles = logT.map((t) => frequencies.map((w) => f(f(f(t * w) * 2) * f(Math.PI)))); // torch's roundings
  assert.ok(Math.max(...angles.flat().map(Math.abs)) > 3000);

  const y = gaussianFourierProjection(tensor(logT), { weight: tensor(frequencies) }, 12);
  assert.deepEqual(y.shape, [4, 12]);
  const expected = angles.flatMap((row) => [...row.map(Math.sin), ...row.map(Math.cos)]);
  assertClose(await y.data(), expected, 1e-6, "features");
});

Deno.test("timestepEmbeddingMLP() names the weight that is of another model", () => {
  const layer = (rows: number, columns: number) => ({
    weight: tensor(new Float32Array(rows * columns), [rows, columns]),
    bias: tensor(new Float32Array(rows)),
  });
  const w = { linear_1: layer(5, 3), linear_2: layer(5, 6) };
  assert.throws(() => timestepEmbeddingMLP(tensor([1, 2, 3], [1, 3]), w, 5), {
    name: "RangeError",
    message: 'Cannot use "tensor": expected shape [5, 5], got [5, 6]; ' +
      "the config and the weights are of different models",
  });
});

Deno.test("timeProjections() makes all in one product on GPUs, adapted ones apart", async () => {
  using device = await openDevice();
  const dice = new Dice(80);
  const layer = (width: number) => ({
    weight: parameter(Nd.random(dice, [width, 6]).upload()),
    bias: Nd.random(dice, [width]).upload(),
  });
  const joined = [5, 8, 3, 4, 4, 2, 7, 1].map(layer); // more than one dispatch joins
  const layers = [...joined, layer(4)]; // the last one is not told in advance
  const temb = Nd.random(dice, [2, 6]).upload();
  const plain = await Promise.all(layers.map((w) => linear(temb, w).data()));
  const run = async (want: typeof plain) => {
    const { plan, run } = traced(device, [temb], (temb) => {
      const times = timeProjections(temb, [...joined, undefined]);
      return layers.map((w) => times(w, w.bias.size).contiguous());
    });
    for (const _ of [1, 2]) {
      for (const [i, y] of run(temb).entries()) assertClose(await y.data(), want[i]!, 1e-5, `layer ${i}`);
    }
    return graphText(plan.graph()).match(/ = gem[mv]_?/g)!.length;
  };
  assert.equal(await run(plain), device.traits.software ? 9 : 2);
  asGpu(device);
  assert.equal(await run(plain), 2);

  const lowRank = { down: ones([1, 6]), up: ones([3, 1]), scale: () => ones([1]) };
  (joined[2]!.weight.node as Parameter).lowRank = lowRank;
  const adapted = await Promise.all(layers.map((w) => linear(temb, w).data()));
  assert.ok(await run(adapted) > 9);
});
