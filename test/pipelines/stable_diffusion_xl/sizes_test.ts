import assert from "node:assert/strict";
import { changeTimeIdRows, timeIdRows } from "../../../src/pipelines/stable_diffusion_xl/sizes.ts";

const SIZE = [64, 96] as const;

Deno.test("pictures from noise seem whole and as large as drawn, with and without guidance", () => {
  const ids = [64, 96, 0, 0, 64, 96];
  assert.deepEqual(timeIdRows({}, SIZE, { B: 1, guided: false }), [ids]);
  assert.deepEqual(timeIdRows({}, SIZE, { B: 1, guided: true }), [ids, ids]);
});

Deno.test("sizes are told both halves alike unless the negative ones are given", () => {
  const options = { originalSize: [100, 200], cropsCoordsTopLeft: [4, 8], targetSize: [30, 40] } as const;
  const ids = [100, 200, 4, 8, 30, 40];
  assert.deepEqual(timeIdRows(options, SIZE, { B: 1, guided: true }), [ids, ids]);
  const negative = { negativeOriginalSize: [1, 2], negativeTargetSize: [5, 6] } as const;
  const rows = timeIdRows({ ...options, ...negative }, SIZE, { B: 2, guided: true });
  assert.deepEqual(rows, [[1, 2, 0, 0, 5, 6], [1, 2, 0, 0, 5, 6], ids, ids]);
});

Deno.test("one negative size without the other is refused", () => {
  const rows = { B: 1, guided: true };
  assert.throws(() => timeIdRows({ negativeTargetSize: [1, 2] }, SIZE, rows), {
    name: "TypeError",
    message:
      "Cannot draw: expected negativeOriginalSize and negativeTargetSize together, got no negativeOriginalSize",
  });
  assert.throws(() => timeIdRows({ negativeCropsCoordsTopLeft: [1, 2] }, SIZE, rows), /together/);
});

Deno.test("a size of other than two numbers is refused", () => {
  const originalSize = [1] as unknown as readonly [number, number];
  assert.throws(() => timeIdRows({ originalSize }, SIZE, { B: 1, guided: false }), {
    message: "Cannot draw with originalSize [1]: expected two numbers",
  });
});

Deno.test("the base model is told one crop of a picture to change, the refiner a score for each half", () => {
  const options = { cropsCoordsTopLeft: [4, 8] } as const;
  const rows = { B: 1, guided: true };
  const ids = [64, 96, 4, 8, 64, 96];
  assert.deepEqual(changeTimeIdRows(options, SIZE, rows, false), [ids, ids]);
  assert.deepEqual(changeTimeIdRows(options, SIZE, rows, true), [[64, 96, 0, 0, 2.5], [64, 96, 4, 8, 6]]);
});
