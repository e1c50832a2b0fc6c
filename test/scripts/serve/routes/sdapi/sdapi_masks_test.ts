import assert from "node:assert/strict";
import type { Image } from "../../../../../src/io/images/image.ts";
import { blurred } from "../../../../../scripts/generate/mask_blur.ts";
import { boundsOf, grown, maskIn, onWhite } from "../../../../../scripts/serve/routes/sdapi/masks.ts";

const gray = (rows: readonly (readonly number[])[]): Image => ({
  ...{ width: rows[0]!.length, height: rows.length, channels: 1 },
  data: Uint8Array.from(rows.flat()),
});

// cv2.GaussianBlur of opencv-python-headless 4.12.0.88, rows first, with kernels of 2 · ⌊2.5 σ + 0.5⌋ + 1 pixels, as A1111 calls it
const MASK = [
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  [0, 0, 0, 255, 255, 255, 255, 255, 255, 0, 0],
  [0, 0, 0, 255, 255, 255, 255, 255, 255, 0, 0],
  [0, 0, 0, 255, 255, 255, 255, 255, 255, 0, 0],
  [0, 0, 0, 255, 255, 255, 255, 255, 255, 0, 0],
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  [0, 90, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
];
const BLURRED: readonly [x: number, y: number, rows: number[][]][] = [
  [1, 1, [
    [0, 2, 9, 21, 28, 30, 30, 28, 21, 9, 4],
    [1, 5, 23, 54, 73, 77, 77, 73, 54, 24, 9],
    [1, 10, 54, 124, 168, 178, 178, 168, 124, 55, 21],
    [2, 14, 72, 167, 225, 238, 238, 225, 167, 73, 28],
    [2, 14, 72, 167, 225, 238, 238, 225, 167, 73, 28],
    [4, 13, 55, 125, 168, 178, 178, 168, 124, 55, 21],
    [11, 15, 29, 55, 72, 76, 76, 72, 54, 23, 9],
    [20, 19, 14, 13, 14, 15, 15, 14, 10, 5, 2],
    [21, 20, 11, 4, 2, 2, 2, 2, 1, 1, 0],
  ]],
  [4, 4, [
    [70, 70, 74, 78, 83, 86, 89, 90, 90, 90, 89],
    [71, 71, 74, 79, 83, 87, 89, 90, 90, 90, 90],
    [70, 70, 73, 78, 82, 86, 88, 89, 89, 89, 88],
    [69, 70, 73, 77, 81, 85, 87, 88, 88, 88, 87],
    [68, 68, 71, 75, 79, 82, 85, 86, 85, 85, 85],
    [65, 66, 68, 72, 76, 79, 81, 82, 81, 81, 81],
    [63, 63, 65, 69, 73, 75, 77, 78, 78, 78, 77],
    [60, 60, 62, 66, 69, 72, 74, 74, 74, 74, 73],
    [60, 60, 62, 65, 69, 71, 73, 74, 73, 73, 72],
  ]],
  [2, 0, [
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [52, 66, 104, 153, 196, 220, 220, 198, 162, 128, 114],
    [52, 66, 104, 153, 196, 220, 220, 198, 162, 128, 114],
    [52, 66, 104, 153, 196, 220, 220, 198, 162, 128, 114],
    [52, 66, 104, 153, 196, 220, 220, 198, 162, 128, 114],
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [32, 29, 22, 13, 7, 2, 1, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  ]],
  [0, 1, [
    [0, 0, 0, 30, 30, 30, 30, 30, 30, 0, 0],
    [0, 0, 0, 78, 78, 78, 78, 78, 78, 0, 0],
    [0, 0, 0, 178, 178, 178, 178, 178, 178, 0, 0],
    [0, 0, 0, 239, 239, 239, 239, 239, 239, 0, 0],
    [0, 0, 0, 239, 239, 239, 239, 239, 239, 0, 0],
    [0, 5, 0, 178, 178, 178, 178, 178, 178, 0, 0],
    [0, 22, 0, 77, 77, 77, 77, 77, 77, 0, 0],
    [0, 41, 0, 15, 15, 15, 15, 15, 15, 0, 0],
    [0, 44, 0, 2, 2, 2, 2, 2, 2, 0, 0],
  ]],
];
for (const [x, y, want] of BLURRED) {
  Deno.test(`a mask's edge is as soft as cv2 makes it for A1111: ${x} across, ${y} down`, () => {
    assert.deepEqual([...blurred(gray(MASK), { x, y }).data], want.flat());
  });
}

// expand_crop_region of A1111 1.10: the region, the size that is drawn, the picture
const GROWN: readonly [region: number[], drawn: number[], picture: number[], want: number[]][] = [
  [[10, 20, 40, 30], [64, 64], [100, 80], [10, 10, 40, 40]],
  [[10, 20, 40, 70], [64, 64], [100, 80], [0, 20, 50, 70]],
  [[0, 0, 30, 80], [96, 32], [100, 80], [0, 0, 100, 80]],
  [[70, 5, 100, 15], [32, 64], [100, 80], [70, 0, 100, 60]],
  [[3, 3, 90, 10], [33, 71], [91, 77], [3, 0, 90, 77]],
  [[50, 60, 61, 79], [96, 32], [100, 80], [27, 60, 84, 79]],
  [[1, 2, 8, 9], [64, 48], [9, 300], [0, 2, 9, 9]],
];
for (const [region, drawn, picture, want] of GROWN) {
  Deno.test(`the part ${region} of ${picture} pixels grows as in A1111 until it has the shape of ${drawn}`, () => {
    const [left, top, right, bottom] = region as [number, number, number, number];
    const part = { left, top, width: right - left, height: bottom - top };
    const size = ([width, height]: number[]) => ({ width: width!, height: height! });
    const box = grown(part, 0, size(picture), size(drawn));
    assert.deepEqual([box.left, box.top, box.left + box.width, box.top + box.height], want);
  });
}

Deno.test("the part around a mask has all that is not black, and a margin within the picture", () => {
  const box = boundsOf(gray(MASK));
  assert.deepEqual(box, { left: 1, top: 2, width: 8, height: 6 });
  assert.deepEqual(grown(box, 2, { width: 11, height: 9 }, undefined), {
    left: 0,
    top: 0,
    width: 11,
    height: 9,
  });
});

const pixels = (channels: 3 | 4, ...data: number[]): Image => ({
  ...{ width: data.length / channels, height: 1, channels },
  data: Uint8Array.from(data),
});

Deno.test("a mask is a picture's alpha where it has some, else its brightness", () => {
  const transparent = pixels(4, 9, 9, 9, 255, 200, 200, 200, 129, 200, 200, 200, 128, 0, 0, 0, 0);
  assert.deepEqual([...maskIn(transparent).data], [255, 255, 0, 0]);
  assert.deepEqual([...maskIn(pixels(4, 9, 9, 9, 255, 200, 200, 200, 255)).data], [9, 200]);
  assert.deepEqual([...maskIn(pixels(3, 0, 0, 0, 255, 255, 255)).data], [0, 255]);
});

Deno.test("what is transparent in a picture shows white, by PIL's rounding", () => {
  const image = pixels(4, 10, 20, 30, 0, 10, 20, 30, 255, 10, 100, 200, 128);
  assert.deepEqual([...onWhite(image).data], [255, 255, 255, 10, 20, 30, 132, 177, 227]);
});
