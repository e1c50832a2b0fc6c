import assert from "node:assert/strict";
import { gather } from "../../src/ops/mod.ts";
import { tensor, zeros } from "../../src/tensor/mod.ts";
import { assertClose } from "../support/close.ts";
import "../support/device.ts";
import { Dice } from "../support/dice.ts";
import { testOnBothEngines } from "../support/engines.ts";
import { Nd } from "../support/nd.ts";
import { assertTensor } from "../support/tensors.ts";

testOnBothEngines("quantile() equals sorting and interpolating", async () => {
  const dice = new Dice(90);
  for (const columns of [1, 2, 7, 300]) {
    const x = Nd.random(dice, [3, columns], 50).map((v) => Math.fround(dice.coin() ? v : Math.round(v)));
    for (const q of [0, 0.1, 0.5, 0.995, 1]) {
      const want = [0, 1, 2].map((row) => {
        const sorted = Array.from({ length: columns }, (_, i) => x.at([row, i])).sort((a, b) => a - b);
        const rank = Math.fround(q) * (columns - 1);
        const [low, high] = [sorted[Math.floor(rank)], sorted[Math.ceil(rank)]] as [number, number];
        return low + (rank - Math.floor(rank)) * (high - low);
      });
      assertClose(await x.upload().quantile(q, 1).data(), want, 1e-4, `${q} of ${columns}`);
    }
  }
});

Deno.test("quantile() of a view, of infinities and signed zeros", async () => {
  const x = tensor([5, 1, 3, -2, 4, 0], [2, 3]).permute([1, 0]); // rows 5 -2, 1 4, 3 0
  assert.deepEqual([...await x.quantile(0.5, 1).data()], [1.5, 2.5, 1.5]);
  const edges = tensor([-Infinity, 0, -0, Infinity, 1]);
  const ends = [0, 1].map((q) => edges.quantile(q, 0, { interpolation: "lower" }));
  assert.deepEqual([await ends[0]!.item(), await ends[1]!.item()], [-Infinity, Infinity]);
  assert.equal(Math.abs(await edges.quantile(0.5).item()), 0);
  for (const q of [-0.1, 1.1, NaN]) assert.throws(() => edges.quantile(q), /^RangeError: Cannot take a /);
});

testOnBothEngines("gather() takes rows by numbers in lists and in tensors of any shape", async () => {
  const dice = new Dice(91);
  for (const width of [5, 8]) {
    const table = Nd.random(dice, [11, width]);
    const ids = Array.from({ length: 6 }, () => dice.int(0, 10));
    const want = Nd.from([6, width], ([i, d]) => table.at([ids[i!]!, d!]));
    await assertTensor(gather(table.upload(), ids), want, 0, `list, width ${width}`);
    const square = tensor(ids, [2, 3], { dtype: "i32" });
    await assertTensor(gather(table.upload(), square), want.reshape([2, 3, width]), 0, "tensor");
    const turned = Nd.from([3, 2, width], ([i, j, d]) => table.at([ids[j! * 3 + i!]!, d!]));
    await assertTensor(gather(table.upload(), square.permute([1, 0])), turned, 0, "turned tensor");
  }
});

Deno.test("gather() refuses numbers outside the table, and gives no rows for none", async () => {
  const table = zeros([4, 3]);
  assert.throws(
    () => gather(table, [1, 4]),
    /^RangeError: Cannot gather row 4 of tensor \[4, 3\] f32: expected 0 to 3$/,
  );
  assert.throws(() => gather(table, [-1]), RangeError);
  assert.equal((await gather(table, []).data()).length, 0);
});

testOnBothEngines("scatter() by u32 leaves alone what the index lacks along other axes", async () => {
  const x = tensor([0, 1, 2, 3, 4, 5], [2, 3]);
  const index = tensor([1, 0], [1, 2], { dtype: "u32" });
  const y = x.scatter(0, index, tensor([8, 9], [1, 2]));
  assert.deepEqual(await y.tolist(), [[0, 9, 2], [8, 4, 5]]);
});
