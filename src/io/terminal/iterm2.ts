import { Buffer } from "node:buffer";
import type { Cells } from "./cells.ts";

/** A PNG as iTerm2 takes it in line (https://iterm2.com/documentation-images.html), as large as the cells. */
export function iterm2(png: Uint8Array, { columns, rows }: Cells): string {
  const text = Buffer.from(png).toString("base64");
  const control = `inline=1;size=${png.length};width=${columns};height=${rows};preserveAspectRatio=0`;
  return `\x1b]1337;File=${control}:${text}\x07`;
}
