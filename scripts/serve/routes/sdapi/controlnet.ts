import { Buffer } from "node:buffer";
import { z } from "zod";
import { type Image, inMode, paste } from "../../../../src/io/images/image.ts";
import { encodePng } from "../../../../src/io/images/png.ts";
import { type Fit, resizedImage } from "../../../../src/io/images/resize.ts";
import type { Size } from "../../../command_line/options.ts";
import { decoded } from "../../request/pictures.ts";
import { RefusalError } from "../../request/refusal.ts";
import type { DrawRequest } from "../../request/request.ts";
import type { InpaintPart } from "./inpaint.ts";
import { bytesOf, parsed, picture } from "./schema.ts";

const MOST = 2 ** 24; // pixels of a picture
const FITTED = 2 ** 22; // of one that gets another shape, for two passes

/** How a picture gets the shape of what is drawn, by the names that ControlNet's extension has for it. */
const FITS: Readonly<Record<string, Fit>> = {
  "0": "default",
  "Just Resize": "default",
  "1": "crop",
  "Crop and Resize": "crop",
  "Scale to Fit (Inner Fit)": "crop",
  "Inner Fit (Scale to Fit)": "crop",
  "2": "fill",
  "Resize and Fill": "fill",
  "Envelope (Outer Fit)": "fill",
  "Outer Fit (Shrink to Fit)": "fill",
};

/** What counts more where a ControlNet and the prompt differ, by the names that the extension has for it. */
const FAVORS: Readonly<Record<string, string>> = {
  "0": "",
  "Balanced": "",
  "1": ":favor=prompt",
  "My prompt is more important": ":favor=prompt",
  "2": ":favor=control",
  "ControlNet is more important": ":favor=control",
};

/** The passes that a ControlNet controls, by its names for them. */
const PASSES: Readonly<Record<string, string>> = {
  "Both": "",
  "HiResFixOption.BOTH": "",
  "Low res only": ":pass=1",
  "HiResFixOption.LOW_RES_ONLY": ":pass=1",
  "High res only": ":pass=2",
  "HiResFixOption.HIGH_RES_ONLY": ":pass=2",
};

const part = z.number().min(0).max(1);
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
  guidance_start: part,
  guidance_end: part,
  guidance: part,
  control_mode: z.union([z.int(), z.string().max(100)]),
  hr_option: z.string().max(100),
  inpaint_crop_input_image: z.boolean(),
  advanced_weighting: z.null(),
  effective_region_mask: z.null(),
}).partial();

/** What is drawn under control. */
interface Drawn {
  /** The picture that is changed, which controls where a unit has none. */
  readonly first: Uint8Array | undefined;
  /** Of the first pass. */
  readonly size: Size | undefined;
  /** It is drawn in two passes, each of which makes the picture that controls as large as itself. */
  readonly twice: boolean;
  /** Where only a part of a picture is drawn: so much of a picture that controls, too. */
  readonly part: InpaintPart | undefined;
}

/** The ControlNets in a request's units; the others are not built in and refused. */
export async function controlOf(
  scripts: Readonly<Record<string, { args?: unknown[] | undefined }>>,
  { first, part, ...drawn }: Drawn,
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
      controlnet.push(modelOf(unit) + countingOf(unit, drawn.twice));
      const { resize_mode: mode = 1, inpaint_crop_input_image: isCut = true } = unit;
      control.push(await fitted(bytes, String(mode), { ...drawn, part: isCut ? part : undefined }));
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

/** How much a ControlNet counts, and where, as it stands behind its name. */
function countingOf(unit: z.infer<typeof unitSchema>, twice: boolean): string {
  const { weight = 1, control_mode: mode = 0, hr_option: passes = "Both" } = unit;
  const { guidance_start: from = 0, guidance_end: to = unit.guidance ?? 1 } = unit;
  if (from >= to) throw refusal("guidance_start", `${from}: expected less than guidance_end, got ${to}`);
  const between = `${from > 0 ? `:from=${from}` : ""}${to < 1 ? `:to=${to}` : ""}`;
  const [favor, pass] = [oneOf("control_mode", FAVORS, String(mode)), oneOf("hr_option", PASSES, passes)];
  return `:${weight}${between}${favor}${twice ? pass : ""}`;
}

/** What a name stands for among those that there are. */
function oneOf<T>(setting: string, known: Readonly<Record<string, T>>, name: string): T {
  if (Object.hasOwn(known, name)) return known[name]!;
  throw refusal(setting, `${name}: expected ${Object.keys(known).join(", ")}`);
}

/** A picture in the shape of what is drawn, and in its size where it is drawn once. */
async function fitted(
  bytes: Uint8Array,
  mode: string,
  { size, twice, part }: Omit<Drawn, "first">,
): Promise<Uint8Array> {
  const fit = oneOf("resize_mode", FITS, mode);
  if (part) return part.of(resizedImage(await decodedRgb(bytes), part.whole, { fit }));
  if (!size || fit === "default" || !isDrawable(size)) return bytes;
  const image = await decodedRgb(bytes);
  if (image.width * size.height === image.height * size.width) return bytes;
  const to = twice ? sizeLike(image, size, fit) : size; // each of two passes makes it as large as itself
  return encodePng(fit === "crop" ? resizedImage(image, to, { fit }) : framed(image, to));
}

async function decodedRgb(bytes: Uint8Array): Promise<Image> {
  return inMode(await decoded("image", bytes, MOST), "RGB");
}

/** False for sizes in which no picture is made here: the drawer, which knows what may be drawn, refuses them later. */
function isDrawable({ width, height }: Size): boolean {
  return width > 0 && height > 0 && width * height <= MOST;
}

/** The largest size of a shape within a picture, or the smallest around it. */
function sizeLike({ width: w, height: h }: Size, { width, height }: Size, fit: "crop" | "fill"): Size {
  const times = fit === "crop" ? Math.min(w / width, h / height) : Math.max(w / width, h / height);
  const some = Math.min(times, Math.sqrt(FITTED / (width * height)));
  return { width: Math.max(1, Math.round(width * some)), height: Math.max(1, Math.round(height * some)) };
}

/** A picture in the middle of a size, around it the median colour of its edges, as the extension has it. RGB */
function framed(image: Image, { width, height }: Size): Image {
  const scale = Math.min(width / image.width, height / image.height);
  const side = (pixels: number, most: number) => Math.min(most, Math.max(1, Math.round(pixels * scale)));
  const inner = { width: side(image.width, width), height: side(image.height, height) };
  const data = new Uint8Array(Buffer.alloc(3 * width * height, Uint8Array.from(edgeColor(image))).buffer);
  const frame: Image = { width, height, channels: 3, data };
  const [left, top] = [Math.floor((width - inner.width) / 2), Math.floor((height - inner.height) / 2)];
  paste(resizedImage(image, inner), frame, left, top);
  return frame;
}

/** The median of each channel in the outermost rows and columns. RGB */
function edgeColor({ width, height, data }: Image): number[] {
  const rows = Array.from({ length: width }, (_, x) => [x, (height - 1) * width + x]).flat();
  const columns = Array.from({ length: height }, (_, y) => [y * width, y * width + width - 1]).flat();
  const pixels = [...rows, ...columns];
  return [0, 1, 2].map((c) => {
    const values = pixels.map((i) => data[3 * i + c]!).sort((a, b) => a - b);
    const middle = values.length / 2; // they are even in number
    return Math.floor((values[middle - 1]! + values[middle]!) / 2);
  });
}

function refusal(name: string, rest: string): RefusalError {
  return new RefusalError("invalid", `Cannot take ${name} ${rest}`, name);
}
