import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import type { Image } from "../../src/io/images/image.ts";
import { filled } from "../../scripts/generate/mask_fill.ts";

/** A picture of some noise, of which a part of rows 1 to 4 is filled, and a column before it in part. */
function drawnFill(width: number, height: number, seed: number): Image {
  const data = Uint8Array.from(
    { length: width * height * 3 },
    () => (seed = seed * 48271 % 0x7fffffff) % 256,
  );
  const mask = Uint8Array.from({ length: width * height }, (_, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    return x >= 4 && x < 12 && y >= 1 && y < 5 ? 255 : x === 3 ? 90 : 0;
  });
  return filled({ width, height, channels: 3, data }, { width, height, channels: 1, data: mask });
}

// fill() of A1111's modules/masking.py, rewritten with Pillow 13.0
// deno-fmt-ignore
const WANT = [
  [233, 46, 238, 113, 157, 246, 58, 113, 86, 124, 201, 54, 177, 32, 163, 24, 37, 100, 238, 175, 62, 169, 162, 101, 21, 82, 151, 50, 11, 191, 169, 206, 63, 53, 138, 230, 32, 62, 89, 103, 30, 253, 49, 124, 179, 54, 117, 241],
  [76, 9, 63, 5, 151, 25, 37, 179, 127, 125, 142, 193, 123, 117, 128, 124, 115, 127, 123, 113, 125, 115, 112, 128, 108, 113, 133, 101, 113, 139, 95, 115, 145, 92, 117, 153, 124, 88, 195, 45, 159, 111, 10, 82, 86, 47, 87, 80],
  [35, 154, 164, 201, 245, 246, 133, 145, 14, 165, 83, 120, 125, 118, 137, 124, 115, 134, 124, 115, 135, 118, 116, 134, 111, 115, 136, 106, 118, 139, 102, 119, 143, 101, 120, 147, 84, 51, 176, 171, 236, 154, 33, 247, 177, 181, 134, 33],
  [251, 64, 202, 117, 184, 29, 252, 112, 163, 138, 154, 157, 125, 117, 148, 124, 115, 146, 124, 116, 142, 120, 120, 137, 113, 119, 136, 112, 119, 136, 109, 119, 138, 110, 121, 141, 105, 245, 48, 97, 163, 195, 67, 146, 217, 236, 74, 220],
  [51, 18, 137, 199, 63, 171, 7, 225, 240, 117, 127, 211, 124, 112, 154, 125, 116, 153, 124, 118, 147, 123, 122, 139, 117, 120, 135, 115, 120, 131, 115, 117, 135, 118, 122, 138, 175, 7, 184, 185, 213, 63, 110, 63, 191, 148, 225, 134],
  [107, 148, 166, 120, 164, 213, 12, 1, 49, 147, 142, 147, 200, 18, 206, 10, 54, 184, 235, 191, 191, 90, 173, 133, 156, 177, 114, 125, 76, 52, 14, 43, 119, 110, 123, 163, 218, 120, 212, 125, 37, 86, 114, 203, 35, 74, 251, 190]
];

Deno.test("what is masked gets the colours around it as Pillow makes them for A1111", () => {
  const { data, ...others } = drawnFill(16, 6, 7);
  assert.deepEqual([...data], WANT.flat());
  assert.deepEqual(others, { width: 16, height: 6, channels: 3 });
});

for (const [width, height, seed, want] of [[97, 61, 3, 310081586], [640, 33, 11, 1436752206]] as const) {
  Deno.test(`a larger picture is filled as by Pillow, too: ${width} x ${height}`, () => {
    assert.equal(crc32(drawnFill(width, height, seed).data as Uint8Array), want);
  });
}
