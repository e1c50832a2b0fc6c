import assert from "node:assert/strict";
import { fft, fftn, fftshift, ifft, ifftn, ifftshift, rfft } from "../../../src/ops/mod.ts";
import { tensor, zeros } from "../../../src/tensor/mod.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import "../../support/device.ts";
import { Dice } from "../../support/dice.ts";
import { testOnBothEngines } from "../../support/engines.ts";

testOnBothEngines(
  "fft() of long primes, long powers of two and what lies between equals its sum",
  async () => {
    for (const n of [67, 1021, 1024, 2 * 521, 4096]) {
      const values = new Dice(n).numbers(n, 1);
      const { real, imag } = fft(tensor(values));
      for (const part of [real, imag]) {
        const f = part === real ? Math.cos : (x: number) => -Math.sin(x);
        const want = Float64Array.from(values, (_, k) => {
          let sum = 0;
          values.forEach((v, j) => sum += v * f(2 * Math.PI * (j * k % n) / n));
          return sum;
        });
        assertRelativelyClose(await part.data(), want, 2e-6, `${n} ${part === real ? "real" : "imaginary"}`);
      }
      const back = ifft({ real, imag });
      assertRelativelyClose(await back.real.data(), values, 2e-6, `${n} and back`);
    }
  },
);

Deno.test("a filter of frequencies, as in FreeU: low ones scaled around the middle", async () => {
  const x = tensor(new Dice(130).numbers(2 * 3 * 8 * 6), [2, 3, 8, 6]);
  const axes = [-2, -1];
  const scale = 0.5;
  const mask = zeros([8, 6]).add(1).sliceScatter(
    zeros([2, 6]).add(1).sliceScatter(zeros([2, 2]).add(scale), 1, 2, 4),
    0,
    3,
    5,
  );
  const { real, imag } = fftshift(fftn(x, { axes }), axes);
  const filtered = ifftn(ifftshift({ real: real.mul(mask), imag: imag.mul(mask) }, axes), { axes }).real;
  // The frequency 0 alone is the mean, which the mask scales.
  const [got, want] = [filtered.mean([2, 3]), x.mean([2, 3]).mul(scale)];
  assertRelativelyClose(await got.data(), await want.data(), 1e-5, "mean");
});

Deno.test("transforms refuse what torch refuses, in one line", () => {
  const x = zeros([2, 3]);
  assert.throws(
    () => fft(zeros([2, 0])),
    /^RangeError: Cannot transform tensor \[2, 0\] f32: expected at least one/,
  );
  assert.throws(() => fftn(x, { axes: [0, 0] }), /^RangeError: Cannot transform .*: expected each axis once/);
  assert.throws(() => fftn(x, { s: [2], axes: [0, 1] }), /got axes \[0, 1\] and lengths \[2\]$/);
  assert.throws(
    () => fft(x, { norm: "both" as "ortho" }),
    /expected a norm of backward, forward, ortho, got both$/,
  );
  assert.throws(
    () => rfft(fft(x) as never),
    /^TypeError: Cannot transform by rfft\(\): expected real numbers/,
  );
});
