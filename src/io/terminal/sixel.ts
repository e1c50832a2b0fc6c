import type { Image } from "../images/image.ts";

const BAND = 6; // rows of pixels that one row of letters stands for

/**
 * A picture of three channels as sixels (DEC STD 070, https://vt100.net/docs/vt3xx-gp/chapter14.html): bands
 * of six rows, in each a line of letters for every colour that it has, with one bit a row.
 */
export function sixel({ width, height, data }: Image): string {
  const { colors, indices } = palette(data);
  const percent = (value: number) => Math.round(value * 100 / 255);
  const registers = colors.map(([r, g, b], i) => `#${i};2;${percent(r!)};${percent(g!)};${percent(b!)}`).join(
    "",
  );
  let bands = "";
  for (let top = 0; top < height; top += BAND) {
    const masks = masksOf(indices.subarray(top * width, (top + BAND) * width), width);
    const lines = [...masks].sort(([a], [b]) => a - b).map(([color, mask]) => `#${color}${letters(mask)}`);
    bands += `${lines.join("$")}-`; // back to the left, then down
  }
  return `\x1bP0;1;0q"1;1;${width};${height}${registers}${bands}\x1b\\`;
}

/** For each colour in a band, the rows that have it as bits, by column. */
function masksOf(band: Uint8Array, width: number): Map<number, Uint8Array> {
  const masks = new Map<number, Uint8Array>();
  band.forEach((color, i) => {
    let mask = masks.get(color);
    if (!mask) masks.set(color, mask = new Uint8Array(width));
    mask[i % width]! |= 1 << Math.floor(i / width);
  });
  return masks;
}

/** One letter a column; repeated ones are counted, as `!5~`. Columns without the colour at the end are cut. */
function letters(mask: Uint8Array): string {
  const all = String.fromCharCode(...mask.map((bits) => 63 + bits)).replace(/\?+$/, "");
  return all.replace(/(.)\1{3,}/g, (run, letter) => `!${run.length}${letter}`);
}

/** Colours, and the one that each pixel has. */
export interface Palette {
  /** [count][3], 0 to 255. */
  readonly colors: readonly (readonly number[])[];
  /** For each pixel, the index of its colour. */
  readonly indices: Uint8Array;
}

/** Colours that are equal in their high five bits. */
interface Bin {
  readonly key: number;
  /** Number of pixels that have them. */
  count: number;
  /** Sums of their red, green and blue. */
  readonly sums: [number, number, number];
}

/**
 * At most `most` colours for pixels of three bytes, by median cut (Heckbert 1982): the box of colours with
 * the widest side is cut, until there are enough, so that both parts have as many pixels.
 */
export function palette(data: Uint8Array, most = 256): Palette {
  const bins = new Map<number, Bin>();
  const keys = new Uint16Array(data.length / 3);
  for (let i = 0; i < keys.length; i++) {
    const pixel = data.subarray(3 * i, 3 * i + 3);
    const key = keys[i] = (pixel[0]! >> 3) << 10 | (pixel[1]! >> 3) << 5 | pixel[2]! >> 3;
    const bin: Bin = bins.get(key) ?? { key, count: 0, sums: [0, 0, 0] };
    bin.count++;
    for (let c = 0; c < 3; c++) bin.sums[c]! += pixel[c]!;
    bins.set(key, bin);
  }
  const boxes = cut([...bins.values()], most);
  const indexOf = new Map(boxes.flatMap((box, i) => box.map(({ key }) => [key, i])));
  return { colors: boxes.map(meanOf), indices: Uint8Array.from(keys, (key) => indexOf.get(key)!) };
}

function cut(bins: Bin[], most: number): Bin[][] {
  const boxes = [bins];
  while (boxes.length < most) {
    const sides = boxes.map(widestSide);
    const widest = sides.reduce((best, side, i) => side.length > sides[best]!.length ? i : best, 0);
    const { axis, length } = sides[widest]!;
    if (length === 0) break;
    const box = boxes[widest]!.toSorted((a, b) => valueOf(a, axis) - valueOf(b, axis) || a.key - b.key);
    const half = box.reduce((sum, { count }) => sum + count, 0) / 2;
    let [at, before] = [0, 0];
    while (before < half && at < box.length - 1) before += box[at++]!.count;
    boxes.splice(widest, 1, box.slice(0, at), box.slice(at));
  }
  return boxes;
}

/** The axis of colour along which a box is longest. */
function widestSide(box: readonly Bin[]): { axis: number; length: number } {
  const sides = [0, 1, 2].map((axis) => {
    const values = box.map((bin) => valueOf(bin, axis));
    return { axis, length: Math.max(...values) - Math.min(...values) };
  });
  return sides.reduce((best, side) => side.length > best.length ? side : best);
}

/** High five bits of a bin's red, green or blue. */
function valueOf({ key }: Bin, axis: number): number {
  return key >> (10 - 5 * axis) & 31;
}

function meanOf(box: readonly Bin[]): number[] {
  const count = box.reduce((sum, bin) => sum + bin.count, 0);
  return [0, 1, 2].map((c) => Math.round(box.reduce((sum, bin) => sum + bin.sums[c]!, 0) / count));
}
