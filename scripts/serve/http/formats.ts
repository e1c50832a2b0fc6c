import { inMode } from "../../../src/io/images/image.ts";
import { decodePng, encodePng } from "../../../src/io/images/png.ts";
import { enlarged } from "../../../src/io/terminal/preview_writer.ts";

/** Formats in which a server gives pictures; only a PNG holds its recipe. */
export const FORMATS = ["png", "jpeg", "webp"] as const;

/** One of them. */
export type Format = typeof FORMATS[number];

/** Encoders of the Squoosh project in WebAssembly, which few clients need. */
const ENCODERS = {
  jpeg: () => import("@jsquash/jpeg/encode.js"),
  webp: () => import("@jsquash/webp/encode.js"),
};

/** A picture's PNG in another format, in a quality up to 100. */
export async function inFormat(png: Uint8Array, format: Format, quality: number): Promise<Uint8Array> {
  if (format === "png") return png;
  const { width, height, data } = decodePng(png, "the picture");
  const pixels: ImageData = {
    ...{ width, height, colorSpace: "srgb", pixelFormat: "rgba-unorm8" },
    data: new Uint8ClampedArray(data),
  };
  const { default: encode } = await ENCODERS[format]();
  return new Uint8Array(await encode(pixels, { quality }));
}

/** A preview's PNG, a pixel for each latent, large enough for clients that show it as it is: 256 pixels at least. */
export function enlargedPreview(png: Uint8Array): Uint8Array {
  return encodePng(enlarged(inMode(decodePng(png, "the preview"), "RGB")));
}
