import { Buffer } from "node:buffer";
import type { Tensor } from "../../tensor/mod.ts";
import { gridOf, inMode } from "./image.ts";
import { imagesOf } from "./tensors.ts";
import { encodePng } from "./png.ts";
import { terminalPictures } from "../terminal/pictures.ts";

/** A picture that Jupyter shows where it is the last value of a cell, or goes to `Deno.jupyter.display`. */
export interface ShownImage {
  /** The bytes of a PNG. */
  readonly png: Uint8Array;
  /** Under `Symbol.for("Jupyter.display")` what Jupyter asks for. */
  readonly [key: symbol]: () => Record<string, string>;
}

/**
 * Shows pictures of values in [0, 1], a batch nearly square; x [C, H, W] or [B, C, H, W] with 1, 3 or 4
 * channels. In Jupyter `await showImage(x)` as the last line of a cell does it; a terminal that is known to show
 * pictures gets them at once.
 */
export async function showImage(x: Tensor): Promise<ShownImage> {
  const images = await imagesOf(x, "Cannot show");
  const image = gridOf(images, Math.ceil(Math.sqrt(images.length)));
  terminalPictures()?.(inMode(image, "RGB"));
  const png = encodePng(image);
  const data = {
    "image/png": Buffer.from(png).toString("base64"),
    "text/plain": `${image.width} x ${image.height} pixels`,
  };
  return { png, [Symbol.for("Jupyter.display")]: () => data };
}
