import assert from "node:assert/strict";
import { openDevice } from "../../src/gpu/open.ts";
import { timeProjections } from "../../src/nn/time_projections.ts";
import type { Parameter } from "../../src/ops/low_rank.ts";
import { linear } from "../../src/ops/mod.ts";
import { ones } from "../../src/tensor/mod.ts";
import { assertClose } from "../support/close.ts";
import { Dice } from "../support/dice.ts";
import { asGpu } from "../support/engines.ts";
import { Nd } from "../support/nd.ts";
import { parameter } from "../support/parameter.ts";
import { traced } from "../support/traced.ts";

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
    return plan.dump().match(/ = gem[mv]_?/g)!.length;
  };
  assert.equal(await run(plain), device.traits.software ? 9 : 2);
  asGpu(device);
  assert.equal(await run(plain), 2);

  const lowRank = { down: ones([1, 6]), up: ones([3, 1]), scale: () => ones([1]) };
  (joined[2]!.weight.node as Parameter).lowRank = lowRank;
  const adapted = await Promise.all(layers.map((w) => linear(temb, w).data()));
  assert.ok(await run(adapted) > 9);
});
