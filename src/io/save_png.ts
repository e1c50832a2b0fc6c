import { formatShape, type Shape } from "../core/shape.ts";
import type { Tensor } from "../tensor/mod.ts";
import { parseJson } from "./json.ts";
import { type PngFile, readPng, writePng } from "./png.ts";

/** How a picture was made: what is written into its file, by name; what is undefined is left out. */
export type Recipe = Record<string, string | number | boolean | readonly string[] | undefined>;

const KEYWORD = "denoise"; // of the PNG text that holds the recipe as JSON

/**
 * Saves a picture of values in [0, 1] as PNG; x [C, H, W] or [1, C, H, W] with one or three channels. Rounds
 * halves to even as numpy does, so the bytes are those that diffusers gives to PIL. The file appears only
 * when it is complete.
 */
export async function savePng(path: string, x: Tensor, recipe: Recipe = {}): Promise<void> {
  const image = x.rank === 4 && x.shape[0] === 1 ? x.squeeze(0) : x;
  const [channels, height, width] = image.shape as Shape<3>;
  if (image.rank !== 3 || (channels !== 1 && channels !== 3)) {
    throw new RangeError(
      `Cannot save ${path}: expected a picture [1 or 3, H, W], got ${
        formatShape(x.shape)
      }; save a batch one by one`,
    );
  }
  const values = await image.permute([1, 2, 0]).cast("f32").data() as Float32Array;
  const data = toBytes(values);
  if (!data) {
    throw new Error(
      `Cannot save ${path}: the picture holds NaN or infinity; check the weights, or run in f32`,
    );
  }
  const made = { ...recipe, engine: x.device.engine, adapter: x.device.adapterName };
  await writePng(path, { width, height, channels, data }, {
    [KEYWORD]: JSON.stringify(made),
    parameters: Object.entries(made).filter(([, value]) => value !== undefined)
      .map(([key, value]) => `${key}: ${value}`).join(", "),
  });
}

/** Values in [0, 1] as bytes, or undefined where one is not finite. */
export function toBytes(values: Float32Array): Uint8Array | undefined {
  const bytes = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) return undefined;
    const scaled = Math.fround(Math.min(1, Math.max(0, values[i]!)) * 255);
    const floor = Math.floor(scaled);
    const rest = scaled - floor;
    bytes[i] = rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
  }
  return bytes;
}

/** Reads a PNG; `recipe` is there where savePng wrote the file. */
export async function loadPng(path: string): Promise<PngFile & { recipe?: Recipe | undefined }> {
  const file = await readPng(path);
  const text = file.text[KEYWORD];
  return {
    ...file,
    recipe: text === undefined ? undefined : parseJson(text, `the recipe in ${path}`) as Recipe,
  };
}
