import { z } from "zod";
import { inMode } from "../../../../src/io/images/image.ts";
import { encodePng } from "../../../../src/io/images/png.ts";
import { resizedImage } from "../../../../src/io/images/resize.ts";
import type { Size } from "../../../command_line/options.ts";
import { decoded } from "../../request/pictures.ts";
import { RefusalError } from "../../request/refusal.ts";
import { pictureNames } from "./hires.ts";
import { bytesOf, parsed, picture } from "./schema.ts";

const side = z.int().min(1).max(2 ** 16);

/** A request of extra-single-image: a picture made larger, without networks. */
export const extraSchema = z.looseObject({
  image: picture,
  resize_mode: z.union([z.literal(0), z.literal(1)]),
  upscaling_resize: z.number().gt(0).lte(64),
  upscaling_resize_w: side,
  upscaling_resize_h: side,
  upscaling_crop: z.boolean(),
  upscaler_1: z.string().max(100),
  extras_upscaler_2_visibility: z.literal(0),
  gfpgan_visibility: z.literal(0),
  codeformer_visibility: z.literal(0),
}).partial();

/** Makes a picture larger, or smaller, to at most so many pixels, as A1111 answers it. */
export async function extraSingleImage(
  value: unknown,
  most: number,
): Promise<{ html_info: string; image: string }> {
  const data = parsed(extraSchema, value);
  const { upscaler_1: upscaler = "None", image: text = "" } = data;
  if (!pictureNames.includes(upscaler)) {
    const message = `Cannot take upscaler_1 ${upscaler}: expected ${
      pictureNames.join(", ")
    }, as networks are not built in`;
    throw new RefusalError("invalid", message, "upscaler_1");
  }
  const image = inMode(await decoded("image", bytesOf("image", text), 2 ** 24), "RGB");
  const { size, fit } = targetOf(data, image);
  if (size.width * size.height > most) {
    const message = `Cannot take size ${size.width}x${size.height}: expected at most ${most} pixels`;
    throw new RefusalError("invalid", message, "upscaling_resize");
  }
  const resample = upscaler === "Nearest" ? "nearest" : "lanczos";
  return { html_info: "", image: encodePng(resizedImage(image, size, { fit, resample })).toBase64() };
}

/** So many times as large, or a size, into which the picture is cut or which it covers. */
function targetOf(
  data: z.infer<typeof extraSchema>,
  { width, height }: Size,
): { size: Size; fit: "default" | "crop" } {
  const { resize_mode: mode = 0, upscaling_resize: times = 2, upscaling_crop: cuts = true } = data;
  const { upscaling_resize_w: w = 512, upscaling_resize_h: h = 512 } = data;
  const scaled = (by: number) => ({
    width: Math.max(1, Math.floor(width * by)),
    height: Math.max(1, Math.floor(height * by)),
  });
  if (mode === 0) return { size: scaled(times), fit: "default" };
  return cuts
    ? { size: { width: w, height: h }, fit: "crop" }
    : { size: scaled(Math.max(w / width, h / height)), fit: "default" };
}
