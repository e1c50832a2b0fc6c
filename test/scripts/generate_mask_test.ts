import assert from "node:assert/strict";
import { openDevice } from "denoise";
import type { Image } from "../../src/io/images/image.ts";
import { imagesOf, imageTensor } from "../../src/io/images/tensors.ts";
import { overlaid } from "../../scripts/generate/mask_blur.ts";

const [WIDTH, HEIGHT] = [48, 8];
const pictureOf = (value: (x: number, y: number, c: number) => number, channels: 1 | 3 = 3): Image => ({
  width: WIDTH,
  height: HEIGHT,
  channels,
  data: Uint8Array.from({ length: WIDTH * HEIGHT * channels }, (_, i) => {
    const pixel = Math.floor(i / channels);
    return value(pixel % WIDTH, Math.floor(pixel / WIDTH), i % channels);
  }),
});

Deno.test("what a mask leaves out is the picture's to the last bit, what it shows is the drawn one's, and between them both", async () => {
  using _device = await openDevice();
  const before = pictureOf((x, y, c) => (7 * x + 31 * y + 83 * c) % 256);
  const drawn = [pictureOf((x) => 5 * x), pictureOf((_, y) => 255 - y)] as const;
  const half = pictureOf((x) => x < 24 ? 0 : 255, 3);
  const images = await imagesOf(
    await overlaid(imageTensor(...drawn), { image: imageTensor(before), mask: imageTensor(half), blur: 2 }),
    "Cannot test",
  );
  assert.equal(images.length, 2);
  for (const [i, { data }] of images.entries()) {
    const of = (image: { data: ArrayLike<number> }, x: number) =>
      Array.from({ length: HEIGHT }, (_, y) => [0, 1, 2].map((c) => image.data[3 * (WIDTH * y + x) + c]));
    for (let x = 0; x < 24 - 5; x++) assert.deepEqual(of({ data }, x), of(before, x), `${x}`); // reach 2.5 · 2
    for (let x = 24; x < WIDTH; x++) assert.deepEqual(of({ data }, x), of(drawn[i]!, x), `${x}`);
    assert.notDeepEqual(of({ data }, 22), of(before, 22));
    assert.notDeepEqual(of({ data }, 22), of(drawn[i]!, 22));
  }
});
