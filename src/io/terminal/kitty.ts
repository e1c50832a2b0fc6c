import { Buffer } from "node:buffer";
import type { Cells } from "./cells.ts";

const CHUNK = 4096; // base64 letters that one escape may carry

/** So that each picture takes the place of the one before. */
const ID = 1147498083;

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
