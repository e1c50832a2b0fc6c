import type { Image } from "../images/image.ts";
import { palette } from "./palette.ts";

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

/** Of each colour in a band which rows have it, by column. */
function masksOf(band: Uint8Array, width: number): Map<number, Uint8Array> {
  const masks = new Map<number, Uint8Array>();
  band.forEach((color, i) => {
    let mask = masks.get(color);
    if (!mask) masks.set(color, mask = new Uint8Array(width));
    mask[i % width]! |= 1 << Math.floor(i / width);
  });
  return masks;
}

/**
 * A letter a column, with repeated ones counted: `!5~`. Columns without the colour at the end are left out.
 */
function letters(mask: Uint8Array): string {
  const all = String.fromCharCode(...mask.map((bits) => 63 + bits)).replace(/\?+$/, "");
  return all.replace(/(.)\1{3,}/g, (run, letter) => `!${run.length}${letter}`);
}
