import type { AnyParts } from "denoise/pipelines";
import type { Image } from "../../../src/io/images/image.ts";
import type { Size } from "../../command_line/options.ts";
import { wrongSides } from "../../generate/fitting.ts";
import { drawnOf, multipleOf, usualSize } from "../../generate/usual.ts";
import { RefusalError } from "./refusal.ts";

/** The size of a picture to change, less what the model cannot draw, else that which the model was trained for. */
export function ownSize(parts: AnyParts, image: Image | undefined): Size {
  if (!image) return usualSize(parts);
  const own = drawnOf(parts, image);
  if (own.width > 0 && own.height > 0) return own;
  const message = `Cannot change a picture of ${image.width}x${image.height}: expected sides of at least ` +
    `${multipleOf(parts)} pixels; make it larger`;
  throw new RefusalError("invalid", message, "image");
}

/** A size that can be drawn, within the limits, under its setting's name. */
export function sizeFor(
  size: Size,
  parts: AnyParts,
  { pixels }: { readonly pixels: number },
  name: "size" | "hires" = "size",
): Size {
  const { width, height } = size;
  const wrong = width * height > pixels
    ? `expected at most ${pixels} pixels, got ${width * height}`
    : wrongSides(size, multipleOf(parts));
  if (wrong === undefined) return size;
  throw new RefusalError("invalid", `Cannot take ${name} ${width}x${height}: ${wrong}`, name);
}
