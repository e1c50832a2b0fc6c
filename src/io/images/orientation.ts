import { decodeLatin1 } from "../files/latin1.ts";
import type { Image } from "./image.ts";

/** Metadata of a picture. */
export interface Metadata {
  /** A TIFF of camera settings, perhaps behind a name. */
  readonly exif?: Uint8Array | undefined;
  /** Adobe's XML, which has the same. */
  readonly xmp?: Uint8Array | undefined;
}

const NAME = "Exif\0\0";
const ORIENTATION = 0x0112; // a tag of TIFF
const [SHORT, LONG] = [3, 4];

/**
 * The orientation (CIPA DC-008, section 4.6.5): 1 to 8, where 1 is upright. As in PIL, XMP counts only where
 * EXIF has no orientation.
 */
export function orientationOf({ exif, xmp }: Metadata): number {
  const said = (exif && inTiff(exif)) ?? (xmp && inXml(xmp)) ?? 1;
  return said >= 1 && said <= 8 ? said : 1;
}

/** The orientation in a TIFF; undefined where it is missing or the TIFF is broken. */
function inTiff(exif: Uint8Array): number | undefined {
  const named = decodeLatin1(exif.subarray(0, NAME.length)) === NAME; // in JPEG, and some WebP
  const tiff = named ? exif.subarray(NAME.length) : exif;
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  const little = tiff[0] === 0x49; // "II", else "MM"
  try {
    const directory = view.getUint32(4, little);
    const count = view.getUint16(directory, little);
    for (let entry = directory + 2; entry < directory + 2 + 12 * count; entry += 12) {
      if (view.getUint16(entry, little) !== ORIENTATION) continue;
      const type = view.getUint16(entry + 2, little);
      if (type === SHORT) return view.getUint16(entry + 8, little);
      return type === LONG ? view.getUint32(entry + 8, little) : undefined;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // the view ends first
  }
  return undefined;
}

function inXml(xmp: Uint8Array): number | undefined {
  const digit = /tiff:Orientation(?:="|>)([0-9])/.exec(new TextDecoder().decode(xmp))?.[1];
  return digit === undefined ? undefined : Number(digit);
}

/** Turns and mirrors a picture so that it is upright. */
export function upright(image: Image, orientation: number): Image {
  if (orientation === 1) return image;
  const { width: W, height: H, channels, data } = image;
  const [width, height] = orientation < 5 ? [W, H] : [H, W];
  const [fromRight, fromBottom] = [[2, 3, 7, 8].includes(orientation), [3, 4, 6, 7].includes(orientation)];
  const [column, row] = [fromRight ? -1 : 1, fromBottom ? -W : W]; // steps in the picture as it is stored
  const [right, down] = orientation < 5 ? [column, row] : [row, column]; // as it is seen
  let line = (fromRight ? W - 1 : 0) + (fromBottom ? (H - 1) * W : 0);
  const pixels = new Uint8Array(data.length);
  for (let at = 0; at < pixels.length; line += down) {
    for (let x = 0, from = line; x < width; x++, from += right) {
      for (let c = 0; c < channels; c++) pixels[at++] = data[from * channels + c]!;
    }
  }
  return { width, height, channels, data: pixels };
}
