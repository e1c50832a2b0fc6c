import type { Shape } from "../../src/core/shape.ts";
import assert from "node:assert/strict";
import { openDevice } from "../../src/gpu/open/open.ts";
import { type LowRank, lowRankOf, type Parameter } from "../../src/ops/low_rank.ts";
import { conv2d, linear } from "../../src/ops/mod.ts";
import { type Tensor, tensor } from "../../src/tensor/mod.ts";
import { assertRelativelyClose } from "../support/close.ts";
import "../support/device.ts";
import { Dice } from "../support/dice.ts";
import { testOnBothEngines } from "../support/engines.ts";
import { type HostPair, merged, randomPair } from "../support/lora_files.ts";
import { parameter } from "../support/parameter.ts";

type DType = "f32" | "f16";

/** A weight as checkpoints bring it, with a pair that is added at a scale; and both as one weight. */
function adapted(shape: number[], rank: number, dice: Dice, { scale = 0.6, dtype = "f32" as DType } = {}) {
  const count = shape.reduce((product, n) => product * n, 1);
  const host = { shape, data: dice.numbers(count, 1) };
  const pair = randomPair(shape, rank, dice);
  const weight = leaf(host.data, shape, dtype);
  (weight.node as Parameter).lowRank = lowRank(pair, scale, dtype);
  return {
    weight,
    whole: tensor(Float32Array.from(merged(host, pair, scale).data), shape),
    plain: host,
    pair,
  };
}

function lowRank({ down, up }: HostPair, scale: number, dtype: DType): LowRank {
  return {
    down: leaf(down.data, down.shape, dtype),
    up: leaf(up.data, up.shape, dtype),
    scale: () => tensor(new Float32Array(down.shape[0]!).fill(scale)),
  };
}

/** Convolutions' weights lie channels-last, as after an upload. */
function leaf(data: ArrayLike<number>, shape: readonly number[], dtype: DType): Tensor {
  if (shape.length !== 4) return parameter(tensor(Array.from(data), shape, { dtype }));
  const [, C, kh, kw] = shape as Shape<4>;
  const last = Float32Array.from(data, (_, i) => { // [O, kh, kw, C]
    const [c, x, y] = [i % C, Math.floor(i / C) % kw, Math.floor(i / (C * kw)) % kh];
    const o = Math.floor(i / (C * kh * kw));
    return data[((o * C + c) * kh + y) * kw + x]!;
  });
  return parameter(tensor(Array.from(last), shape, { dtype }), [C * kh * kw, 1, kw * C, C]);
}

for (const rank of [1, 5, 8]) {
  testOnBothEngines(`linear() adds products of rank ${rank} to those of its weight`, async () => {
    const dice = new Dice(rank);
    const { weight, whole } = adapted([7, 12], rank, dice);
    const x = tensor(dice.numbers(3 * 12), [3, 12]);
    const bias = tensor(dice.numbers(7));
    const want = await linear(x, { weight: whole, bias }).data();
    assertRelativelyClose(await linear(x, { weight, bias }).data(), want, 1e-6, "y");
  });
}

testOnBothEngines("conv2d() adds products of convolutions with its stride and padding", async () => {
  const dice = new Dice(3);
  const x = tensor(dice.numbers(2 * 4 * 7 * 5), [2, 4, 7, 5]);
  const bias = tensor(dice.numbers(6));
  for (
    const options of [{ padding: 1 }, { stride: 2, padding: [0, 1, 0, 1] as const }, {
      upsample: 2,
      padding: 1,
    }] as const
  ) {
    const { weight, whole } = adapted([6, 4, 3, 3], 3, dice);
    const want = await conv2d(x, { weight: whole, bias }, options).data();
    assertRelativelyClose(
      await conv2d(x, { weight, bias }, options).data(),
      want,
      1e-6,
      JSON.stringify(options),
    );
  }
});

Deno.test("slices of a weight take the rows and columns of its adapter that are theirs", async () => {
  const dice = new Dice(8);
  const { weight, whole } = adapted([10, 12], 4, dice);
  const x = tensor(dice.numbers(2 * 12), [2, 12]);
  const rows = (w: Tensor) => linear(x, { weight: w.slice(0, 3, 9) }).data();
  assertRelativelyClose(await rows(weight), await rows(whole), 1e-6, "rows");
  const columns = (w: Tensor) => linear(x.slice(1, 4, 12), { weight: w.slice(1, 4, 12) }).data();
  assertRelativelyClose(await columns(weight), await columns(whole), 1e-6, "columns");
  const both = (w: Tensor) => linear(x.slice(1, 4, 12), { weight: w.slice(0, 3, 9).slice(1, 4, 12) }).data();
  assertRelativelyClose(await both(weight), await both(whole), 1e-6, "both");
  assert.throws(() => linear(tensor(dice.numbers(10), [1, 10]), { weight: weight.permute([1, 0]) }), {
    message: /^Cannot adapt tensor \[12, 10\] f32: expected whole rows or slices of them/,
  });
});

Deno.test("at scale 0 a product is the one without adapter to the bit, in f32 and f16", async () => {
  using device = await openDevice();
  for (const dtype of device.traits.f16 ? ["f32", "f16"] as const : ["f32"] as const) {
    const dice = new Dice(21);
    const { weight, plain } = adapted([33, 20], 6, dice, { scale: 0, dtype });
    const x = tensor(Array.from(dice.numbers(9 * 20)), [9, 20], { dtype });
    const bias = tensor(Array.from(dice.numbers(33)), [33], { dtype });
    const alone = leaf(plain.data, plain.shape, dtype);
    assert.deepEqual(
      await linear(x, { weight, bias }).data(),
      await linear(x, { weight: alone, bias }).data(),
    );
  }
});

Deno.test("adapters in f16 stay near those in f32", async () => {
  using device = await openDevice();
  if (!device.traits.f16) return;
  const dice = new Dice(4);
  const { weight, whole } = adapted([16, 24], 8, dice, { dtype: "f16" });
  const x = dice.numbers(5 * 24);
  const got = await linear(tensor(Array.from(x), [5, 24], { dtype: "f16" }), { weight }).data();
  assertRelativelyClose(got, await linear(tensor(x, [5, 24]), { weight: whole }).data(), 3e-3, "y");
});

Deno.test("a weight tells whether products with it were recorded, and its low rank can be taken off", () => {
  const dice = new Dice(5);
  const { weight } = adapted([3, 4], 2, dice);
  const node = weight.node as Parameter;
  assert.ok(lowRankOf(weight.slice(0, 0, 2)));
  assert.equal(node.multiplied, false);
  linear(tensor(dice.numbers(4), [1, 4]), { weight: weight.slice(0, 0, 2) });
  assert.equal(node.multiplied, true);
  node.lowRank = undefined;
  assert.equal(lowRankOf(weight), undefined);
});
