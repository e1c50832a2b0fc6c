import type { Image } from "../images/image.ts";
import { resample } from "../images/resample.ts";
import { writePng } from "../images/png.ts";
import { terminalPictures } from "./pictures.ts";
import type { PictureProtocol } from "./protocol.ts";

/** Targets of previews. With neither they go to the terminal, if it is known to show pictures. */
export interface PreviewTargets {
  /** The path of a PNG, which each preview overwrites. */
  file?: string | undefined;
  /** The protocol by which the terminal shows them. */
  protocol?: PictureProtocol | undefined;
}

const SIDE = 256; // pixels that the longer side of a preview in a file has at least

/**
 * A function that writes previews, for `preview: { write }` of a run. Undefined where they can go nowhere.
 * Where the file cannot be written, it warns once and the run goes on.
 */
export function previewWriter(
  { file, protocol }: PreviewTargets = {},
): ((picture: Image) => Promise<void>) | undefined {
  const show = file !== undefined && !protocol ? undefined : terminalPictures(protocol);
  if (!show && file === undefined) return undefined;
  let failed = false;
  return async (picture) => {
    show?.(picture);
    if (file === undefined || failed) return;
    await writePng(file, enlarged(picture)).catch((error: Error) => {
      failed = true;
      console.warn(`No more previews: ${error.message}`);
    });
  };
}

/** A preview large enough to be looked at: its longer side has 256 pixels at least. */
export function enlarged(picture: Image): Image {
  const factor = Math.max(1, Math.ceil(SIDE / Math.max(picture.width, picture.height)));
  return resample(picture, { width: factor * picture.width, height: factor * picture.height }, "bilinear");
}
