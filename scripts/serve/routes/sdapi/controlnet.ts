import { z } from "zod";
import { encodePng } from "../../../../src/io/images/png.ts";
import { type Fit, resizedImage } from "../../../../src/io/images/resize.ts";
import type { Size } from "../../../command_line/options.ts";
import { decoded } from "../../request/pictures.ts";
import { RefusalError } from "../../request/refusal.ts";
import type { DrawRequest } from "../../request/request.ts";
import { bytesOf, parsed, picture } from "./schema.ts";

const MOST = 2 ** 24; // pixels of a picture

/** How a picture gets the shape of what is drawn, by the names that ControlNet's extension has for it. */
const FITS: Readonly<Record<string, Fit>> = {
  "0": "default",
  "Just Resize": "default",
  "1": "crop",
  "Crop and Resize": "crop",
  "Scale to Fit (Inner Fit)": "crop",
  "2": "fill",
  "Resize and Fill": "fill",
  "Envelope (Outer Fit)": "fill",
};

const file = z.union([picture, z.object({ image: picture }).transform(({ image }) => image)]);
/** A unit of the extension sd-webui-controlnet: a ControlNet with its picture. What decides about preprocessors is not looked at. */
const unitSchema = z.looseObject({
  enabled: z.boolean(),
  module: z.string().max(100),
  model: z.string().max(200),
  weight: z.number(),
  image: file,
  input_image: file,
  mask: z.literal(""),
  mask_image: z.literal(""),
  resize_mode: z.union([z.int(), z.string().max(100)]),
  guidance_start: z.literal(0),
  guidance_end: z.literal(1),
  control_mode: z.enum(["Balanced", "0"]).or(z.literal(0)),
  hr_option: z.enum(["Both", "HiResFixOption.BOTH"]),
}).partial();

/** The ControlNets in a request's units; the others are not built in and refused. `first` is the picture that is changed. */
export async function controlOf(
  scripts: Readonly<Record<string, { args?: unknown[] | undefined }>>,
  first: Uint8Array | undefined,
  size: Size | undefined,
): Promise<Pick<DrawRequest, "controlnet" | "control">> {
  const [controlnet, control]: [string[], Uint8Array[]] = [[], []];
  for (const [name, { args = [] }] of Object.entries(scripts)) {
    if (args.length === 0) continue;
    if (name.toLowerCase() !== "controlnet") {
      throw refusal("alwayson_scripts", `${name.slice(0, 100)}: no such extension is built in`);
    }
    for (const arg of args) {
      const unit = parsed(unitSchema, arg, "alwayson_scripts");
      if (unit.enabled === false || unit.model === "None") continue;
      const text = unit.image || unit.input_image || "";
      const bytes = text === "" ? first : bytesOf("image", text);
      if (!bytes) throw refusal("image", "of a ControlNet: expected a picture, got none");
      controlnet.push(`${modelOf(unit)}:${unit.weight ?? 1}`);
      control.push(await fitted(bytes, String(unit.resize_mode ?? 1), size));
    }
  }
  return controlnet.length > 0 ? { controlnet, control } : {};
}

function modelOf({ model, module = "none" }: z.infer<typeof unitSchema>): string {
  if (!/^(none|)$/i.test(module)) {
    throw refusal(
      "module",
      `${module}: expected none, as no preprocessor is built in; send the edges or poses themselves`,
    );
  }
  if (model !== undefined) return model;
  throw refusal("model", "of a ControlNet: expected its name, got none");
}

/** A picture in the shape of what is drawn. */
async function fitted(bytes: Uint8Array, mode: string, size: Size | undefined): Promise<Uint8Array> {
  const fit = FITS[mode];
  if (fit === undefined) throw refusal("resize_mode", `${mode}: expected ${Object.keys(FITS).join(", ")}`);
  if (!size || fit === "default") return bytes;
  const image = await decoded("image", bytes, MOST);
  if (image.width * size.height === image.height * size.width) return bytes;
  if (fit === "fill") {
    throw refusal("resize_mode", `${mode}: expected a picture of the shape of what is drawn, or to crop it`);
  }
  return encodePng(resizedImage(image, size, { fit }));
}

function refusal(name: string, rest: string): RefusalError {
  return new RefusalError("invalid", `Cannot take ${name} ${rest}`, name);
}
