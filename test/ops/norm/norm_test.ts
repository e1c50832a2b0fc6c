import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { streamOf } from "../../../src/graph/run/stream.ts";
import { groupsOf, selectKernel } from "../../../src/ops/norm/groups.ts";
import { groupNorm, layerNorm, rmsNorm, softmax } from "../../../src/ops/mod.ts";
import { currentDevice } from "../../../src/gpu/device.ts";
import { cat, type Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { Dice } from "../../support/dice.ts";
import { ADAPTERS, asGpu, testOnBothEngines } from "../../support/engines.ts";
import { Nd, places } from "../../support/nd.ts";
import { assertTensor } from "../../support/tensors.ts";

const BOUND = 3e-6;

const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;

function normalized(values: number[], eps: number, centre = mean(values)): number[] {
  const scale = 1 / Math.sqrt(mean(values.map((v) => (v - centre) ** 2)) + eps);
  return values.map((v) => (v - centre) * scale);
}

function soft(values: number[]): number[] {
  const peak = Math.max(...values);
  const powers = values.map((v) => Math.exp(v - peak));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((p) => p / sum);
}

/** Applies a function to the elements of each block of places, where a block is what has the same key. */
function blockwise(x: Nd, key: (place: number[]) => string, f: (values: number[]) => number[]): Nd {
  const blocks = Map.groupBy(
    [...places(x.shape)].map((place, i) => ({ place, i })),
    ({ place }) => key(place),
  );
  const data = new Float64Array(x.data.length);
  for (const block of blocks.values()) {
    f(block.map(({ i }) => x.data[i]!)).forEach((v, j) => data[block[j]!.i] = v);
  }
  return new Nd(x.shape, data);
}

const groupReference = (x: Nd, w: Nd, b: Nd, groups: number, eps = 1e-5) => {
  const C = x.shape[1]!;
  const y = blockwise(
    x,
    ([image, c]) => `${image} ${Math.floor(c! * groups / C)}`,
    (v) => normalized(v, eps),
  );
  return Nd.from(x.shape, (place) => y.at(place) * w.at([place[1]!]) + b.at([place[1]!]));
};

testOnBothEngines("groupNorm() of channels-last, permuted and joined pictures", async () => {
  const dice = new Dice(60);
  for (const [C, groups] of [[6, 3], [8, 2], [5, 1], [4, 4]] as const) {
    const [w, b] = [Nd.random(dice, [C]), Nd.random(dice, [C])];
    const weights = { weight: w.upload(), bias: b.upload() };
    const x = Nd.random(dice, [2, C, 5, 3]);
    const want = groupReference(x, w, b, groups);
    await assertTensor(groupNorm(x.upload(), weights, { groups }), want, BOUND, `${C} channels`);
    await assertTensor(
      groupNorm(x.upload().channelsLast(), weights, { groups }),
      want,
      BOUND,
      `${C} channels last`,
    );
    const turned = x.permute([3, 0, 2, 1]).upload().permute([1, 3, 2, 0]);
    await assertTensor(groupNorm(turned, weights, { groups }), want, BOUND, `${C} channels permuted`);
    const parts = [x.slice(1, 0, 2).upload().channelsLast(), x.slice(1, 2, C).upload().channelsLast()];
    await assertTensor(groupNorm(cat(parts, 1), weights, { groups }), want, BOUND, `${C} channels joined`);
    const half = groupReference(x.slice(0, 1, 2), w, b, groups);
    await assertTensor(
      groupNorm(x.upload().channelsLast().slice(0, 1), weights, { groups }),
      half,
      BOUND,
      "second image",
    );
  }
});

testOnBothEngines("groupNorm() and layerNorm() keep their digits beside a large mean", async () => {
  const dice = new Dice(61);
  const x = Nd.random(dice, [1, 4, 7, 9], 1).map((v) => Math.fround(v + 1000));
  const [one, none] = [new Nd([4], [1, 1, 1, 1]), new Nd([4], [0, 0, 0, 0])];
  await assertTensor(
    groupNorm(x.upload(), {}, { groups: 2 }),
    groupReference(x, one, none, 2),
    1e-4,
    "groups",
  );
  const rows = blockwise(x, (place) => place.slice(0, 3).join(), (v) => normalized(v, 1e-5));
  await assertTensor(layerNorm(x.upload(), null), rows, 1e-4, "rows");
});

testOnBothEngines(
  "groupNorm() of large groups, which GPUs take in parts, beside a large mean too",
  async (device) => {
    asGpu(device);
    const dice = new Dice(64);
    const [H, W] = [257, 256]; // the last part has fewer pixels
    for (const [C, groups, mean, bound] of [[2, 1, 0, BOUND], [4, 1, 1000, 1e-4]] as const) {
      const rows = Array.from({ length: H }, (_, i) => mean! + i / 100); // parts have means of their own
      const x = Nd.random(dice, [2, C, H, W], 1);
      const data = Float32Array.from(x.data, (v, i) => v + rows[Math.floor(i / W) % H]!);
      const y = groupNorm(tensor(data, x.shape).channelsLast(), {}, { groups });
      const want = [0, 1].flatMap((image) =>
        normalized([...data.subarray(image * C * H * W, (image + 1) * C * H * W)], 1e-5)
      );
      await assertTensor(y, new Nd(x.shape, want), bound!, `${C} channels`);
      assert.equal(streamOf(device).statistics.dispatches, 4, "two, and the memory order before and after");
    }
  },
);

for (const [adapter, pretend] of Object.entries(ADAPTERS)) {
  const own = adapter === "as it is";
  for (const candidate of own ? ["group_norm_read"] : ["group_norm", "group_norm_read", "group_norm_parts"]) {
    Deno.test(`groupNorm() of groups of any size: ${adapter}, ${candidate}`, async () => {
      using device = await openDevice({ candidate });
      pretend(device);
      const dice = new Dice(66);
      // Channels of a group that are read one, two and four at a time; groups that begin within a line; lanes left over.
      for (
        const [C, groups, H, W] of [[3, 1, 5, 1], [12, 2, 9, 7], [60, 6, 5, 5], [40, 2, 3, 70], [
          64,
          16,
          37,
          8,
        ]] as const
      ) {
        const x = Nd.random(dice, [2, C, H, W], 3);
        const [one, none] = [1, 0].map((v) => new Nd([C], new Float64Array(C).fill(v))) as [Nd, Nd];
        const upload = x.upload().channelsLast();
        const kernels = selectKernel(device.traits, groupsOf(upload, groups), 0).map(({ name }) => name);
        assert.ok(own || kernels.includes(candidate), `${kernels}`);
        await assertTensor(
          groupNorm(upload, {}, { groups }),
          groupReference(x, one, none, groups),
          BOUND,
          `${C}`,
        );
        for (const seam of [1, 2, 4, 16].filter((seam) => seam < C)) { // within a group, or between two
          const parts = [
            x.slice(1, 0, seam).upload().channelsLast(),
            x.slice(1, seam, C).upload().channelsLast(),
          ];
          const y = groupNorm(cat(parts, 1), {}, { groups });
          await assertTensor(y, groupReference(x, one, none, groups), BOUND, `${C}, joined at ${seam}`);
        }
      }
    });
  }
  for (const candidate of [undefined, "_read"]) { // the guess, and rows that are read again
    Deno.test(`rows of any length: ${adapter}, ${candidate ?? "held"}`, async () => {
      using device = await openDevice({ candidate });
      pretend(device);
      const dice = new Dice(65);
      for (const D of [1, 7, 33, 100, 772, 3080]) { // one lane, one subgroup, several; the last steps are not full
        const x = Nd.random(dice, [3, D]);
        const row = ([r]: number[]) => `${r}`;
        const layer = blockwise(x, row, (v) => normalized(v, 1e-5));
        await assertTensor(layerNorm(x.upload(), null), layer, BOUND, `layer ${D}`);
        const rms = blockwise(x, row, (v) => normalized(v, 1e-6, 0));
        await assertTensor(rmsNorm(x.upload(), null), rms, BOUND, `rms ${D}`);
        await assertTensor(softmax(x.upload()), blockwise(x, row, soft), 2e-6, `softmax ${D}`);
      }
    });
  }
}

testOnBothEngines("layerNorm() and rmsNorm() of rows of any length and stride", async () => {
  const dice = new Dice(62);
  for (const D of [1, 5, 8, 130]) {
    const x = Nd.random(dice, [3, 2, D + 3]);
    const [part, tensorPart] = [x.slice(2, 1, D + 1), x.upload().slice(2, 1, D + 1)];
    const [w, b] = [Nd.random(dice, [D]), Nd.random(dice, [D])];
    const row = (place: number[]) => place.slice(0, 2).join();
    const layer = blockwise(part, row, (v) => normalized(v, 1e-5)).zip(w, (a, b) => a * b).zip(
      b,
      (a, b) => a + b,
    );
    await assertTensor(
      layerNorm(tensorPart, { weight: w.upload(), bias: b.upload() }),
      layer,
      BOUND,
      `layer ${D}`,
    );
    const rms = blockwise(part, row, (v) => normalized(v, 1e-6, 0)).zip(w, (a, b) => a * b);
    await assertTensor(rmsNorm(tensorPart, { weight: w.upload() }), rms, BOUND, `rms ${D}`);
  }
});

testOnBothEngines(
  "rmsNorm() normalises heads where they lie, and keeps the order of their memory",
  async () => {
    const dice = new Dice(64);
    const [B, H, L] = [2, 3, 5];
    for (const D of [1, 6, 8]) {
      const w = Nd.random(dice, [D]);
      const reference = (x: Nd) =>
        blockwise(x, (place) => place.slice(0, -1).join(), (v) => normalized(v, 1e-6, 0)).zip(
          w,
          (a, b) => a * b,
        );
      const ways: Record<string, { x: Nd; view: (t: Tensor) => Tensor }> = {
        "heads of tokens": {
          x: Nd.random(dice, [B, L, H * D]),
          view: (t) => t.reshape([B, L, H, D]).permute([0, 2, 1, 3]),
        },
        "keys of merged projections": {
          x: Nd.random(dice, [B, L, 3 * H * D]),
          view: (t) => t.chunk(3, 2)[1].reshape([B, L, H, D]).permute([0, 2, 1, 3]),
        },
        "columns": {
          x: Nd.random(dice, [B, D, L]),
          view: (t) => t.permute([0, 2, 1]),
        },
        "keys of some tokens": { // three levels of strides, so they are copied
          x: Nd.random(dice, [B, L, 3 * H * D]),
          view: (t) => t.slice(1, 1, 4).chunk(3, 2)[1].reshape([B, 3, H, D]).permute([0, 2, 1, 3]),
        },
      };
      for (const [what, { x, view }] of Object.entries(ways)) {
        const strided = new Nd(view(x.upload()).shape, await view(x.upload()).contiguous().data());
        await assertTensor(
          rmsNorm(view(x.upload()), { weight: w.upload() }),
          reference(strided),
          BOUND,
          `${what}, D = ${D}`,
        );
      }
    }
  },
);

testOnBothEngines("rmsNorm() computes its statistics in f32, and without a weight too", async () => {
  if (!currentDevice().traits.f16) return;
  const x = new Nd([2, 64], Array.from({ length: 128 }, (_, i) => i < 64 ? 300 : 1e-3)); // 64 · 300² is beyond f16
  const want = blockwise(x, ([row]) => `${row}`, (v) => normalized(v, 1e-6, 0));
  const y = rmsNorm(x.upload().cast("f16"), null);
  assert.equal(y.dtype, "f16");
  await assertTensor(y, want, 1e-3, "f16");
});

testOnBothEngines(
  "softmax() along any axis, of large numbers and of rows that are masked in part",
  async () => {
    const dice = new Dice(63);
    const x = Nd.random(dice, [3, 5, 7], 90);
    for (const axis of [0, 1, 2]) {
      const want = blockwise(x, (place) => place.with(axis, 0).join(), soft);
      await assertTensor(softmax(x.upload(), axis - 3), want, 2e-5, `axis ${axis}`);
    }
    const unseen = Array(4).fill(-Infinity); // NaN, as torch's
    const masked = tensor([1, -Infinity, 2, -Infinity, 0, 0, -1e30, 0, ...unseen], [3, 4]);
    const got = await softmax(masked).data();
    assert.deepEqual([...got.slice(8)], Array(4).fill(NaN));
    const want = [...soft([1, -Infinity, 2, -Infinity]), 1 / 3, 1 / 3, 0, 1 / 3];
    want.forEach((v, i) => assert.ok(Math.abs(got[i]! - v) < 1e-6, `at ${i}: ${got[i]}, want ${v}`));
  },
);

Deno.test("norms of no rows give no rows, and groups that do not divide are refused", async () => {
  using _device = await openDevice();
  assert.equal((await layerNorm(zeros([0, 4]), null).data()).length, 0);
  assert.equal((await groupNorm(zeros([0, 4, 2, 2]), {}, { groups: 2 }).data()).length, 0);
  assert.throws(
    () => groupNorm(zeros([1, 5, 2, 2]), {}, { groups: 2 }),
    /^RangeError: Cannot normalise tensor \[1, 5, 2, 2\] f32: expected channels that 2 groups divide, got 5$/,
  );
});
