import { Buffer } from "node:buffer";
import type { Tensor } from "../../tensor/mod.ts";
import { gridOf, inMode } from "../images/image.ts";
import { imagesOf } from "../images/tensors.ts";
import { encodePng } from "../images/png.ts";
import { terminalPictures } from "./pictures.ts";

/** A picture that Jupyter shows as the last value of a cell, or by `Deno.jupyter.display`. */
export interface ShownImage {
  /** The bytes of a PNG. */
  readonly png: Uint8Array;
  /** Jupyter calls the one under `Symbol.for("Jupyter.display")`. */
  readonly [key: symbol]: () => Record<string, string>;
}

/**
 * Shows pictures of values in [0, 1], a batch in a nearly square grid. x [C, H, W] or [B, C, H, W] with 1, 3
 * or 4 channels. In Jupyter, make `await showImage(x)` the last line of a cell; a terminal that is known to
 * show pictures shows them at once.
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
