import type { Shape } from "../../src/core/shape.ts";
import assert from "node:assert/strict";
import { openDevice } from "../../src/gpu/open/open.ts";
import { rmsNormRotary, rotary, type RotaryOptions } from "../../src/ops/mod.ts";
import { type Tensor, zeros } from "../../src/tensor/mod.ts";
import { Dice } from "../support/dice.ts";
import { ADAPTERS, testOnBothEngines } from "../support/engines.ts";
import { Nd } from "../support/nd.ts";
import { assertTensor } from "../support/tensors.ts";

const BOUND = 1e-6;

type Pairs = NonNullable<RotaryOptions["pairs"]>;

/** Pairs of x [B, H, L, D] turned by angles [L, D / 2]. */
const turned = (x: Nd, angles: Nd, pairs: Pairs = "interleaved") =>
  Nd.from(x.shape, ([b, h, l, d]) => {
    const half = x.shape[3]! / 2;
    const inHalves = pairs === "halves";
    const angle = angles.at([l!, inHalves ? d! % half : d! >> 1]);
    const own = x.at([b!, h!, l!, d!]);
    const other = x.at([b!, h!, l!, inHalves ? (d! + half) % (2 * half) : d! ^ 1]);
    const isSecond = inHalves ? d! >= half : d! % 2 === 1;
    return own * Math.cos(angle) + (isSecond ? other : -other) * Math.sin(angle);
  });

/** Rows of x [B, H, L, D] over their root mean square, times a weight [D]. */
const normed = (x: Nd, weight: Nd, eps: number) =>
  Nd.from(x.shape, ([b, h, l, d]) => {
    const row = Array.from({ length: x.shape[3]! }, (_, i) => x.at([b!, h!, l!, i]));
    const square = row.reduce((sum, v) => sum + v * v, 0) / row.length;
    return row[d!]! / Math.sqrt(square + eps) * weight.at([d!]);
  });

const tables = (
  angles: Nd,
): [Tensor, Tensor] => [angles.map(Math.cos).upload(), angles.map(Math.sin).upload()];

/** [B, L, H · D] as heads, as a projection leaves them. */
const heads = (x: Nd, H: number) => {
  const [B, L, width] = x.shape as Shape<3>;
  const shape = [B, L, H, width / H];
  return {
    tensor: x.upload().reshape(shape).permute([0, 2, 1, 3]),
    nd: new Nd(shape, x.data).permute([0, 2, 1, 3]),
  };
};

testOnBothEngines(
  "rotary() turns heads of any even width, dense or as a projection leaves them",
  async () => {
    const dice = new Dice(90);
    for (const [B, H, L, D] of [[2, 3, 5, 8], [1, 2, 7, 6], [1, 1, 1, 2], [2, 5, 9, 16]]) {
      const angles = Nd.random(dice, [L!, D! / 2], 50);
      const dense = Nd.random(dice, [B!, H!, L!, D!]);
      await assertTensor(
        rotary(dense.upload(), ...tables(angles)),
        turned(dense, angles),
        BOUND,
        `dense, ${D}`,
      );
      const { tensor, nd } = heads(Nd.random(dice, [B!, L!, H! * D!]), H!);
      await assertTensor(rotary(tensor, ...tables(angles)), turned(nd, angles), BOUND, `strided, ${D}`);
    }
  },
);

testOnBothEngines("rotary() turns pairs of values half a head apart, of any even width", async () => {
  const dice = new Dice(94);
  for (const [B, H, L, D] of [[2, 3, 5, 8], [1, 2, 7, 6], [1, 1, 1, 2], [2, 2, 3, 4], [2, 5, 9, 16]]) {
    const angles = Nd.random(dice, [L!, D! / 2], 50);
    const { tensor, nd } = heads(Nd.random(dice, [B!, L!, H! * D!]), H!);
    const y = rotary(tensor, ...tables(angles), { pairs: "halves" });
    await assertTensor(y, turned(nd, angles, "halves"), BOUND, `width ${D}`);
  }
});

testOnBothEngines("rotary() reads slices that begin anywhere, and heads whose values lie apart", async () => {
  const dice = new Dice(91);
  const [L, D] = [6, 8];
  const wide = Nd.random(dice, [1, L, 2 * D + 3]);
  const angles = Nd.random(dice, [L, D / 2], 3);
  const slice = wide.upload().slice(2, 3).reshape([1, L, 2, D]).permute([0, 2, 1, 3]);
  const own = new Nd([1, L, 2, D], wide.slice(2, 3, 2 * D + 3).data).permute([0, 2, 1, 3]);
  await assertTensor(rotary(slice, ...tables(angles)), turned(own, angles), BOUND, "a slice");
  const apart = Nd.random(dice, [1, 2, D, L]);
  const want = turned(apart.permute([0, 1, 3, 2]), angles);
  await assertTensor(rotary(apart.upload().permute([0, 1, 3, 2]), ...tables(angles)), want, BOUND, "apart");
});

testOnBothEngines("rotary() turns each row of a batch by angles of its own", async () => {
  const dice = new Dice(94);
  for (const [B, H, L, D] of [[2, 3, 5, 8], [3, 1, 4, 6]] as const) {
    const angles = Nd.random(dice, [B, L, D / 2], 5);
    const x = Nd.random(dice, [B, H, L, D]);
    const rows = Array.from({ length: B }, (_, b) => {
      const own = Nd.from([L, D / 2], ([l, i]) => angles.at([b, l!, i!]));
      return turned(Nd.from([1, H, L, D], ([, h, l, d]) => x.at([b, h!, l!, d!])), own);
    });
    const want = Nd.from(x.shape, ([b, h, l, d]) => rows[b!]!.at([0, h!, l!, d!]));
    await assertTensor(rotary(x.upload(), ...tables(angles)), want, BOUND, `${D}`);
  }
});

for (const [adapter, pretend] of Object.entries(ADAPTERS)) {
  Deno.test(`rmsNormRotary() joins two parts, each with a weight of its own: ${adapter}`, async () => {
    using device = await openDevice();
    pretend(device);
    const dice = new Dice(92);
    for (const [B, H, D] of [[2, 3, 8], [1, 2, 6], [1, 5, 130], [1, 1, 600]]) { // the last takes several subgroups
      const [N, L] = [3, 7];
      const [text, image] = [
        heads(Nd.random(dice, [B!, N, H! * D!]), H!),
        heads(Nd.random(dice, [B!, L, H! * D!]), H!),
      ];
      const weights = [Nd.random(dice, [D!]), Nd.random(dice, [D!])];
      const angles = Nd.random(dice, [N + L, D! / 2], 9);
      const joined = rmsNormRotary(
        [{ x: text.tensor, weight: weights[0]!.upload() }, { x: image.tensor, weight: weights[1]!.upload() }],
        ...tables(angles),
        { eps: 0.01 },
      );
      const [one, two] = [normed(text.nd, weights[0]!, 0.01), normed(image.nd, weights[1]!, 0.01)];
      const both = Nd.from(
        [B!, H!, N + L, D!],
        ([b, h, l, d]) => l! < N ? one.at([b!, h!, l!, d!]) : two.at([b!, h!, l! - N, d!]),
      );
      await assertTensor(joined, turned(both, angles), BOUND, `two parts, ${D}`);

      const later = Nd.from([L, D! / 2], ([l, i]) => angles.at([N + l!, i!]));
      const alone = rmsNormRotary([{ x: image.tensor, weight: weights[1]!.upload() }], ...tables(later), {
        eps: 0.01,
      });
      await assertTensor(alone, turned(two, later), BOUND, `one part, ${D}`);
      const halves = rmsNormRotary(
        [{ x: text.tensor, weight: weights[0]!.upload() }, { x: image.tensor, weight: weights[1]!.upload() }],
        ...tables(angles),
        { eps: 0.01, pairs: "halves" },
      );
      await assertTensor(halves, turned(both, angles, "halves"), BOUND, `in halves, ${D}`);
    }
  });
}

Deno.test("rotary() takes f16, works in f32, and hands on in the order of a projection", async () => {
  using device = await openDevice();
  if (!device.traits.f16) return;
  const dice = new Dice(93);
  const x = Nd.random(dice, [1, 2, 5, 8]);
  const angles = Nd.random(dice, [5, 4], 5);
  const y = rotary(x.upload().cast("f16"), ...tables(angles));
  assert.equal(y.dtype, "f16");
  assert.deepEqual(y.strides, [80, 8, 16, 1]); // [B, L, H, D]
  await assertTensor(y, turned(x, angles), 1e-3, "f16");
});

Deno.test("rotary() tells what does not fit", async () => {
  using _device = await openDevice();
  const table = zeros([5, 4]);
  const refuses = (message: string, run: () => Tensor) => assert.throws(run, { name: "RangeError", message });
  refuses(
    "Cannot rotate tensor [2, 5, 8] f32: expected [B, H, L, D], D even",
    () => rotary(zeros([2, 5, 8]), table, table),
  );
  refuses(
    "Cannot rotate tensor [1, 2, 5, 7] f32: expected [B, H, L, D], D even",
    () => rotary(zeros([1, 2, 5, 7]), table, table),
  );
  refuses(
    "Cannot rotate tensor [1, 2, 6, 8] f32 by tensor [5, 4] f32: expected f32 [6, 4]",
    () => rotary(zeros([1, 2, 6, 8]), table, table),
  );
  refuses(
    "Cannot rotate tensor [1, 2, 5, 8] f32 by tensor [2, 5, 4] f32: expected f32 [1, 5, 4]",
    () => rotary(zeros([1, 2, 5, 8]), zeros([2, 5, 4]), zeros([2, 5, 4])),
  );
  const [x, weight] = [zeros([1, 2, 3, 8]), zeros([8])];
  refuses(
    "Cannot rotate tensor [1, 3, 2, 8] f32: expected [1, 2, L, 8], D even",
    () => rmsNormRotary([{ x, weight }, { x: zeros([1, 3, 2, 8]), weight }], table, table),
  );
  refuses(
    "Cannot normalise tensor [1, 2, 3, 8] f32 with tensor [7] f32: expected a weight [8]",
    () => rmsNormRotary([{ x, weight: zeros([7]) }], table, table),
  );
});
