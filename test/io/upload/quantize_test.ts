import assert from "node:assert/strict";
import type { PackedDType } from "../../../src/core/dtype.ts";
import { conv2d, linear } from "../../../src/ops/mod.ts";
import { tensor } from "../../../src/tensor/mod.ts";
import { testOnBothEngines } from "../../support/engines.ts";
import { pack } from "../../support/pack.ts";

const GROUP = 32;

/** The largest error of a value in a group, beside the rounding of the group's scale to f16. */
const bounds: Record<PackedDType, (group: number[]) => number> = {
  int8: (group) => largest(group) / 127 / 2,
  int4: (group) => largest(group) / 8, // the far end of the scale is one step away
};

for (const dtype of ["int8", "int4"] as const) {
  testOnBothEngines(`a matrix packed as ${dtype} is read within its format's bound`, async (device) => {
    using packed = await pack(device, dtype, [70, 96]);
    const identity = tensor(Float32Array.from({ length: 96 * 96 }, (_, i) => i % 97 === 0 ? 1 : 0), [96, 96]);
    const columns = linear(identity, { weight: packed.weight });
    const got = [...await columns.permute([1, 0]).data()];
    assertWithin(got, packed.values, bounds[dtype]);
    assert.ok(Math.abs(packed.error - relativeError(got, packed.values)) < 1e-5 + 0.01 * packed.error);
    assert.ok(packed.error > 0);
  });

  testOnBothEngines(`a convolution reads its kernel packed as ${dtype}`, async (device) => {
    using packed = await pack(device, dtype, [6, 32, 3, 3]);
    const dot = new Float32Array(32 * 9); // one bright pixel of one channel reads one value of each kernel
    dot[7 * 9 + 4] = 1;
    const got = [...await conv2d(tensor(dot, [1, 32, 3, 3]), packed, { padding: 1 }).data()];
    for (const [at, value] of got.entries()) {
      const [o, tap] = [Math.floor(at / 9), 8 - at % 9]; // the pixel meets the kernel turned around
      const group = Array.from({ length: 32 }, (_, c) => packed.values[(o * 32 + c) * 9 + tap]!);
      assert.ok(Math.abs(value - group[7]!) <= slack(bounds[dtype](group)), `${value} for ${group[7]}`);
    }
  });
}

testOnBothEngines("a packed group of zeros stays zero, and the largest value survives", async (device) => {
  const values = new Float32Array(128);
  values[40] = -3;
  for (const dtype of ["int8", "int4"] as const) {
    using packed = await pack(device, dtype, [4, 32], values);
    const identity = tensor(Float32Array.from({ length: 1024 }, (_, i) => i % 33 === 0 ? 1 : 0), [32, 32]);
    assert.deepEqual(
      [...await linear(identity, packed).permute([1, 0]).data()].map((x) => x + 0),
      [...values],
    );
  }
});

testOnBothEngines("only products read a packed tensor", async (device) => {
  using packed = await pack(device, "int8", [4, 32]);
  assert.throws(() => packed.weight.mul(2), /Cannot compute with .*int8/);
  assert.throws(() => packed.weight.cast("f32"), /only products read int8/);
  await assert.rejects(packed.weight.data(), /expected plain numbers, got int8/);
  const x = tensor(new Float32Array(16), [1, 16]);
  assert.throws(
    () => linear(x, { weight: packed.weight.slice(1, 0, 16) }),
    /expected rows of whole groups of 32/,
  );
});

function assertWithin(got: number[], want: number[], bound: (group: number[]) => number): void {
  for (let at = 0; at < want.length; at += GROUP) {
    const group = want.slice(at, at + GROUP);
    const most = slack(bound(group));
    const worst = Math.max(...group.map((value, i) => Math.abs(value - got[at + i]!)));
    assert.ok(worst <= most, `expected an error of at most ${most} from element ${at}, got ${worst}`);
  }
}

/** A bound with what rounding a scale to 11 bits adds. */
function slack(bound: number): number {
  return bound * 1.01 + 2 ** -11;
}

function largest(values: number[]): number {
  return Math.max(...values.map(Math.abs));
}

function relativeError(got: number[], want: number[]): number {
  const squares = (values: number[]) => values.reduce((sum, value) => sum + value * value, 0);
  return Math.sqrt(squares(got.map((value, i) => value - want[i]!)) / squares(want));
}
