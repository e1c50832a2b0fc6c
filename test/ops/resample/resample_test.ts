import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { avgPool2d, interpolate, upsampleNearest } from "../../../src/ops/mod.ts";
import { tensor, zeros } from "../../../src/tensor/mod.ts";
import { Dice } from "../../support/dice.ts";
import { testOnBothEngines } from "../../support/engines.ts";
import { Nd } from "../../support/nd.ts";
import { assertTensor } from "../../support/tensors.ts";

testOnBothEngines("upsampleNearest() to odd sizes, by factors, and down", async () => {
  const dice = new Dice(80);
  const nearest = (x: Nd, H: number, W: number) =>
    Nd.from(
      [...x.shape.slice(0, 2), H, W],
      ([b, c, i, j]) => x.at([b!, c!, Math.floor(i! * x.shape[2]! / H), Math.floor(j! * x.shape[3]! / W)]),
    );
  for (
    const [C, H, W, outH, outW] of [[3, 5, 7, 11, 13], [4, 3, 3, 7, 6], [4, 9, 8, 5, 3], [1, 1, 1, 3, 2]]
  ) {
    const x = Nd.random(dice, [2, C!, H!, W!]);
    await assertTensor(
      upsampleNearest(x.upload(), { size: [outH!, outW!] }),
      nearest(x, outH!, outW!),
      0,
      `${H} × ${W}`,
    );
  }
  const x = Nd.random(dice, [2, 4, 3, 5]);
  await assertTensor(upsampleNearest(x.upload(), {}), nearest(x, 6, 10), 0, "twice");
  await assertTensor(
    upsampleNearest(x.upload().slice(0, 1), { scale: 3 }),
    nearest(x.slice(0, 1, 2), 9, 15),
    0,
    "thrice",
  );
});

testOnBothEngines("avgPool2d() with a stride that is not its kernel", async () => {
  const dice = new Dice(81);
  for (const [kernel, stride] of [[2, 2], [3, 1], [2, 3], [3, 2]] as const) {
    const x = Nd.random(dice, [2, 3, 7, 8]);
    const [H, W] = [7, 8].map((n) => Math.floor((n - kernel) / stride) + 1) as [number, number];
    const want = Nd.from([2, 3, H, W], ([b, c, i, j]) => {
      let sum = 0;
      for (let k = 0; k < kernel * kernel; k++) {
        sum += x.at([b!, c!, i! * stride + Math.floor(k / kernel), j! * stride + k % kernel]);
      }
      return sum / kernel ** 2;
    });
    await assertTensor(
      avgPool2d(x.upload(), { kernel, stride }),
      want,
      1e-6,
      `kernel ${kernel}, stride ${stride}`,
    );
    await assertTensor(avgPool2d(x.upload().channelsLast(), { kernel, stride }), want, 1e-6, "channels last");
  }
});

Deno.test("avgPool2d() refuses a picture smaller than its kernel", async () => {
  using _device = await openDevice();
  assert.throws(
    () => avgPool2d(zeros([1, 1, 2, 2]), { kernel: 4 }),
    /^RangeError: Cannot pool .+ at least 4 × 4, got 2 × 2$/,
  );
});

testOnBothEngines("interpolate() of areas reads nothing beyond each area, as torch", async () => {
  const y = interpolate(tensor([1, 2, NaN, 4, 5], [1, 1, 5]), { size: 3, mode: "area" });
  assert.deepEqual([...await y.data()], [1.5, NaN, 4.5]);
});
