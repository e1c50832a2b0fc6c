import type { AnyParts } from "denoise/pipelines";
import type { Image } from "../../../src/io/images/image.ts";
import { multipleOf as multipleOfAdapters } from "../../../src/pipelines/t2i_adapter/adapters.ts";
import type { Size } from "../../command_line/options.ts";
import { wrongSides } from "../../generate/fitting.ts";
import { usualSize } from "../../generate/usual.ts";
import { RefusalError } from "./refusal.ts";

/** The size of a picture to change, less what the model cannot draw, else that which the model was trained for. */
export function ownSize(parts: AnyParts, image: Image | undefined): Size {
  if (!image) return usualSize(parts);
  const multiple = multipleOf(parts);
  const [width, height] = [image.width, image.height].map((side) => side - side % multiple);
  if (width! > 0 && height! > 0) return { width: width!, height: height! };
  const message = `Cannot change a picture of ${image.width}x${image.height}: expected sides of at least ` +
    `${multiple} pixels; make it larger`;
  throw new RefusalError("invalid", message, "image");
}

/** Divisor of a picture's sides, in pixels; a token of transformers covers 2 x 2 latents, T2I-Adapters have their own. */
export function multipleOf(parts: AnyParts): number {
  if (!("vae" in parts)) return 1;
  if ("adapter" in parts) return multipleOfAdapters(parts as Parameters<typeof multipleOfAdapters>[0]);
  return parts.vae.scaleFactor * ("transformer" in parts ? 2 : 1);
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
