import type { Image } from "../images/image.ts";
import { resample } from "../images/resample.ts";
import { writePng } from "../images/png.ts";
import { type PictureProtocol, terminalPictures } from "./pictures.ts";

/** Where previews go; with neither they go to the terminal, if it is known to show pictures. */
export interface PreviewTargets {
  /** A PNG, each in the place of the one before. */
  file?: string | undefined;
  /** How the terminal takes them. */
  protocol?: PictureProtocol | undefined;
}

const SIDE = 256; // pixels that the longer side has in a file at least

/**
 * What writes previews, for `preview: { write }` of a run; undefined where they can go nowhere. A file that cannot be
 * written is told once, and ends no run.
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

function enlarged(picture: Image): Image {
  const factor = Math.max(1, Math.ceil(SIDE / Math.max(picture.width, picture.height)));
  return resample(picture, { width: factor * picture.width, height: factor * picture.height }, "bilinear");
}
