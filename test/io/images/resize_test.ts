import assert from "node:assert/strict";
import { expectResize, type Fit, readSize, resizedImage } from "../../../src/io/images/resize.ts";
import { type Image, type ImageMode, inMode } from "../../../src/io/images/image.ts";
import { resample, type ResamplingFilter } from "../../../src/io/images/resample.ts";
import { fixture } from "../../support/fixtures.ts";
import { readRaw } from "../../support/raw_tensors.ts";

interface Case {
  name: string;
  width: number;
  height: number;
  mode: ImageMode;
  resample: ResamplingFilter;
  fit: Fit;
}

const cases: Case[] = JSON.parse(Deno.readTextFileSync(fixture("pictures/cases.json")));
const expected = await readRaw(fixture("pictures/expected.safetensors"));
const source: Image = { width: 23, height: 17, channels: 4, data: expected.get("source")!.bytes };

for (const { name, width, height, mode, resample, fit } of cases) {
  Deno.test(`${name} has Pillow's bytes`, () => {
    const image = resizedImage(inMode(source, mode), { width, height }, { fit, resample });
    const { shape, bytes } = expected.get(name)!;
    assert.deepEqual([image.height, image.width, image.channels], shape);
    assert.deepEqual(image.data, bytes.slice());
  });
}

Deno.test("resample() gives the middle between two pixels, and a flat colour back", () => {
  const ramp = { width: 2, height: 1, channels: 1, data: Uint8Array.of(0, 100) } as const;
  assert.deepEqual([...resample(ramp, { width: 4, height: 1 }, "bilinear").data], [0, 25, 75, 100]);
  const flat = { width: 2, height: 3, channels: 3, data: new Uint8Array(18).fill(9) } as const;
  const grown = resample(flat, { width: 5, height: 4 }, "lanczos");
  assert.deepEqual([grown.width, grown.height, ...new Set(grown.data)], [5, 4, 9]);
});

Deno.test("a picture that is cut to a shape far from its own is not made whole first", () => {
  const slim: Image = { width: 2, height: 8192, channels: 3, data: new Uint8Array(3 * 2 * 8192).fill(9) };
  for (const resample of ["nearest", "lanczos"] as const) { // whole it would be 2048 x 8388608
    const { width, height, data } = resizedImage(slim, { width: 2048, height: 8 }, { fit: "crop", resample });
    assert.deepEqual([width, height, ...new Set(data)], [2048, 8, 9]);
  }
});

Deno.test("a window of a resized picture has its bytes", () => {
  const to = { width: 31, height: 29 };
  const [left, top, right, bottom] = [4, 7, 24, 20];
  for (const filter of ["nearest", "bilinear", "lanczos"] as const) {
    const { data } = resample(source, to, filter);
    const rows = Array.from({ length: bottom - top }, (_, y) => {
      const at = 4 * ((top + y) * to.width + left);
      return [...data.subarray(at, at + 4 * (right - left))];
    });
    assert.deepEqual(
      [...resample(source, to, filter, undefined, [left, top, right, bottom]).data],
      rows.flat(),
    );
  }
});

Deno.test("sizes and words that resizing does not know are refused", () => {
  assert.deepEqual(readSize(3), { width: 3, height: 3 });
  assert.deepEqual(readSize([2, 5]), { width: 5, height: 2 });
  for (const size of [0, 1.5, NaN, [4, -1], [16385, 4]] as const) {
    assert.throws(
      () => readSize(size as number),
      /^RangeError: Cannot resize: expected height and width from 1 to 16384/,
    );
  }
  assert.throws(
    () => expectResize({ fit: "cover" as Fit }),
    /^TypeError: Cannot take fit "cover": expected one of "default", "crop", "fill"$/,
  );
  assert.throws(
    () => expectResize({ resample: "cubic" as ResamplingFilter }),
    /^TypeError: Cannot take resample "cubic": expected one of "nearest", "box"/,
  );
});
