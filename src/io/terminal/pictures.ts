import type { Image } from "../images/image.ts";
import { resample } from "../images/resample.ts";
import { encodePng } from "../images/png.ts";
import { type Cells, cellsFor } from "./cells.ts";
import { iterm2 } from "./iterm2.ts";
import { kitty } from "./kitty.ts";
import { type PictureProtocol, pictureProtocol } from "./protocol.ts";
import { sixel } from "./sixel.ts";

export { type PictureProtocol, pictureProtocols } from "./protocol.ts";

/** Gives the text that puts a picture above the line where the cursor is. */
export type PicturePainter = (image: Image) => string;

const CELL = 12; // pixels of a sixel picture in a row of text: as high as rows are at least

/**
 * Shows pictures in the terminal, each in the place of the one before, above the line of a progress bar.
 * Undefined where standard output is no terminal, or none that is known to show pictures; a `protocol` that
 * was asked for is used in any terminal.
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
      // the terminal is gone: what is only shown ends no run
    }
  };
}

/**
 * The text for one picture after another in a terminal of some size. The first moves the line of the cursor
 * down; all leave the cursor where it was, so that a progress bar goes on there.
 */
export function picturePainter(protocol: PictureProtocol, terminal: Cells): PicturePainter {
  let rows = 0; // that pictures have so far
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
