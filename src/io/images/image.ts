/** Width and height in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Pixels of eight bits a channel, [height, width, channels]. */
export interface Image {
  /** Pixels in a row. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
  /** Gray, RGB or RGBA. */
  readonly channels: 1 | 3 | 4;
  /** width * height * channels bytes. */
  readonly data: Uint8Array;
}

/** The longest side in pixels that a picture may have: the whole has at most 2^28 then. */
export const maxSide = 2 ** 14;

/** True for lengths that a side may have. */
export function isSide(length: number): boolean {
  return Number.isInteger(length) && length >= 1 && length <= maxSide;
}

/** The most pixels that a picture may have. */
export const maxPixels: number = maxSide ** 2;

/** Refuses a file whose header names sides that are too long, or 0, or more pixels than are allowed. */
export function expectSides({ width, height }: Size, path: string, most: number = maxPixels): void {
  const isWithin = isSide(width) && isSide(height);
  if (isWithin && width * height <= most) return;
  const expected = isWithin ? `at most ${most} pixels` : `sides of 1 to ${maxSide} pixels`;
  throw new RangeError(
    `Cannot load ${path}: expected ${expected}, got ${width} x ${height}; make it smaller`,
  );
}

/** Channels by PIL's names: "L" is luma. */
export type ImageMode = "L" | "RGB" | "RGBA";

/** All modes. */
export const imageModes: readonly ImageMode[] = ["L", "RGB", "RGBA"];

/** Converts a picture as PIL does: alpha is dropped and not blended; luma is that of ITU-R 601. */
export function inMode({ width, height, channels, data }: Image, mode: ImageMode): Image {
  const wanted = ({ L: 1, RGB: 3, RGBA: 4 } as const)[mode];
  if (channels === wanted) return { width, height, channels, data };
  const pixels = new Uint8Array(width * height * wanted).fill(255);
  for (let from = 0, to = 0; from < data.length; from += channels, to += wanted) {
    const r = data[from]!;
    const [g, b] = channels === 1 ? [r, r] : [data[from + 1]!, data[from + 2]!];
    pixels[to] = wanted === 1 && channels !== 1 ? (19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16 : r;
    if (wanted > 1) [pixels[to + 1], pixels[to + 2]] = [g, b];
  }
  return { width, height, channels: wanted, data: pixels };
}

/**
 * Copies a picture onto another of as many channels, its upper left corner at (left, top), which may lie
 * outside; what does not fit is left out.
 */
export function paste(from: Image, onto: Image, left: number, top: number): void {
  const start = Math.max(0, -left);
  const count = Math.min(from.width, onto.width - left) - start;
  for (let y = Math.max(0, -top); y < Math.min(from.height, onto.height - top); y++) {
    const at = (y * from.width + start) * from.channels;
    const row = from.data.subarray(at, at + count * from.channels);
    onto.data.set(row, ((y + top) * onto.width + left + start) * from.channels);
  }
}

/** Pictures of one size side by side, row by row; black where the last row ends early. */
export function gridOf(images: readonly [Image, ...Image[]], columns: number): Image {
  const [{ width, height, channels }] = images;
  const size = { width: columns * width, height: Math.ceil(images.length / columns) * height };
  const grid: Image = { ...size, channels, data: new Uint8Array(size.width * size.height * channels) };
  images.forEach((image, i) => paste(image, grid, i % columns * width, Math.floor(i / columns) * height));
  return grid;
}
