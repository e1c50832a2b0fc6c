import assert from "node:assert/strict";
import { conv2d, einsum, fft2, ifft2, interpolate } from "../../src/ops/mod.ts";
import { type Tensor, tensor } from "../../src/tensor/mod.ts";
import { Dice } from "../support/dice.ts";
import { testOnBothEngines } from "../support/engines.ts";
import { traced } from "../support/traced.ts";

/** Operations that bring tables or take several dispatches, as an edit of a model would record them. */
const functions: Record<string, (x: Tensor) => Tensor[]> = {
  interpolate: (x) => [interpolate(x, { size: [7, 9], mode: "bicubic", antialias: true }).mul(2)],
  fft2: (x) => [ifft2(fft2(x)).real.add(1)],
  sort: (x) => {
    const { values, indices } = x.sort(2);
    return [values, indices];
  },
  cumsum: (x) => [x.reshape([-1]).expand([40, -1]).reshape([-1]).cumsum(0)],
  einsum: (x) => [einsum("bchw,bdhw->bcd", x, x)],
  quantile: (x) => [x.quantile([0.25, 0.75], 1)],
  conv2d: (
    x,
  ) => [
    conv2d(x, { weight: x.slice(2, 0, 3).slice(3, 0, 3).permute([1, 0, 2, 3]) }, {
      groups: 4,
      padding: "same",
    }),
  ],
};

for (const [name, f] of Object.entries(functions)) {
  testOnBothEngines(`${name} gives in a trace, replayed, what it gives at once`, async (device) => {
    const dice = new Dice(140);
    const make = () => tensor(dice.numbers(4 * 5 * 6), [1, 4, 5, 6]);
    const { run } = traced(device, [make()], f);
    for (let turn = 0; turn < 2; turn++) {
      const x = make();
      const [got, want] = [run(x), f(x)];
      for (const [i, y] of want.entries()) assert.deepEqual(await got[i]!.data(), await y.data());
    }
  });
}
