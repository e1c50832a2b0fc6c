import { Buffer } from "node:buffer";
import type { Image } from "../images/image.ts";
import { encodePng } from "../images/png.ts";
import { resample } from "../images/resample.ts";
import { type PictureProtocol, pictureProtocol } from "./protocol.ts";
import { sixel } from "./sixel.ts";

/** Gives the escape sequence that shows a picture above the line of the cursor. */
export type PicturePainter = (image: Image) => string;

const CELL = 12; // pixels of a sixel picture in a row of text: as high as rows are at least

/**
 * A function that shows pictures in the terminal, each in the place of the one before, above the line of a
 * progress bar. Undefined where standard output is no terminal, or, without `protocol`, none that is known to show
 * pictures.
 */
export function terminalPictures(protocol?: PictureProtocol): ((image: Image) => void) | undefined {
  if (!Deno.stdout.isTerminal()) return undefined;
  const chosen = protocol ?? pictureProtocol((name) => Deno.env.get(name));
  if (!chosen) return undefined;
  const { columns, rows } = Deno.consoleSize();
  const painted = picturePainter(chosen, { columns: columns || 80, rows: rows || 24 }); // some say 0
  return (image) => {
    const bytes = new TextEncoder().encode(painted(image));
    try {
      for (let done = 0; done < bytes.length;) done += Deno.stdout.writeSync(bytes.subarray(done));
    } catch {
      // the terminal is gone: output for the eye ends no run
    }
  };
}

/**
 * A function that gives the escape sequence for each picture, in a terminal of some size. The first picture
 * moves the line of the cursor down; all leave the cursor where it was, so that a progress bar goes on there.
 */
export function picturePainter(protocol: PictureProtocol, terminal: Cells): PicturePainter {
  let rows = 0; // that pictures have taken so far
  return (image) => {
    const cells = cellsFor(image, terminal);
    const room = Math.max(0, cells.rows - rows); // new lines first, so that the picture scrolls nothing
    rows += room;
    const below = room > 0 ? `\r\x1b[2K${"\n".repeat(room)}` : "";
    return `${below}\x1b7\r\x1b[${rows}A${encoded(protocol, image, cells)}\x1b8`;
  };
}

function encoded(protocol: PictureProtocol, image: Image, cells: Cells): string {
  if (protocol === "sixel") {
    const height = CELL * cells.rows;
    const width = Math.max(1, Math.round(height * image.width / image.height));
    return sixel(resample(image, { width, height }, "bilinear"));
  }
  return protocol === "kitty" ? kitty(encodePng(image), cells) : iterm2(encodePng(image), cells);
}

/** The size of a terminal, or of a picture in it, in characters. */
export interface Cells {
  readonly columns: number;
  readonly rows: number;
}

const ROWS = 16; // that a picture takes, unless it is wider than the terminal

/** Size of a picture in cells. A cell is taken to be twice as high as wide. */
export function cellsFor({ width, height }: { width: number; height: number }, terminal: Cells): Cells {
  const most = Math.max(1, Math.min(ROWS, terminal.rows - 2)); // a line for the bar, and one that stays free
  const columns = Math.max(1, Math.min(terminal.columns, Math.round(2 * most * width / height)));
  const rows = Math.max(1, Math.min(most, Math.round(columns * height / width / 2)));
  return { columns, rows };
}

const CHUNK = 4096; // base64 letters that one escape may carry

const ID = 1147498083; // of all pictures, so that each takes the place of the one before

/**
 * A PNG by kitty's graphics protocol (https://sw.kovidgoyal.net/kitty/graphics-protocol/), as large as the
 * cells, the cursor left where it is (C=1); the terminal answers nothing (q=2).
 */
export function kitty(png: Uint8Array, { columns, rows }: Cells): string {
  const text = Buffer.from(png).toString("base64");
  const chunks = text.match(new RegExp(`.{1,${CHUNK}}`, "g")) ?? [""];
  return chunks.map((chunk, i) => {
    const more = i < chunks.length - 1 ? 1 : 0;
    const control = i === 0 ? `a=T,f=100,i=${ID},c=${columns},r=${rows},C=1,q=2,m=${more}` : `m=${more}`;
    return `\x1b_G${control};${chunk}\x1b\\`;
  }).join("");
}

/** A PNG by iTerm2's protocol (https://iterm2.com/documentation-images.html), as large as the cells. */
export function iterm2(png: Uint8Array, { columns, rows }: Cells): string {
  const text = Buffer.from(png).toString("base64");
  const control = `inline=1;size=${png.length};width=${columns};height=${rows};preserveAspectRatio=0`;
  return `\x1b]1337;File=${control}:${text}\x07`;
}
