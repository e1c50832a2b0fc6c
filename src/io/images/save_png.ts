import { extname, join, parse } from "node:path";
import { nameOfKind } from "../../core/error.ts";
import { version } from "../../core/version.ts";
import type { Device } from "../../gpu/device.ts";
import { Tensor } from "../../tensor/mod.ts";
import { infotextOfRecipe } from "./infotext.ts";
import { gridOf } from "./image.ts";
import { imagesOf } from "./tensors.ts";
import { parseJson, writeJson } from "../files/json.ts";
import { type PngFile, readPng, writePng } from "./png.ts";
import { expectWritable } from "../files/whole_file.ts";

/** The settings that made a picture, by name. They are written into its file, without undefined ones. */
export type Recipe = Record<
  string,
  string | number | bigint | boolean | readonly string[] | Readonly<Record<string, unknown>> | undefined
>;

const KEYWORD = "denoise"; // of the PNG text that has the recipe as JSON

/** The settings that made a picture, and the layout of a batch. */
export type SavePngOptions = Recipe & {
  /** Saves a batch in one picture, row by row: in this many columns, or nearly square where `true`. */
  readonly grid?: boolean | number | undefined;
};

/**
 * Saves pictures of values in [0, 1] as PNG and returns the paths. x [C, H, W] or [B, C, H, W] with 1, 3 or 4
 * channels. A batch becomes files a-1.png, a-2.png and so on, or a grid. Halves are rounded to even as in
 * numpy, so the bytes are those that diffusers gives to PIL. A file appears only when it is complete. That
 * the path can be written is checked before anything is computed.
 */
export async function savePng(path: string, x: Tensor, options: SavePngOptions = {}): Promise<string[]> {
  if (typeof path !== "string" || !(x instanceof Tensor)) {
    throw new TypeError(
      `Cannot save a picture: expected a path and a tensor, got ${nameOfKind(path)} and ${nameOfKind(x)}`,
    );
  }
  const { grid = false, ...recipe } = options;
  expectPngName(path);
  const columns = columnsOf(path, grid, x.rank === 4 ? x.shape[0]! : 1);
  expectWritable(path);
  const images = await imagesOf(x, `Cannot save ${path}`);
  const text = recipeTexts(recipe, x.device);
  const pictures = columns === undefined ? images : [gridOf(images, columns)];
  const paths = pictures.length === 1 ? [path] : images.map((_, i) => numbered(path, i + 1));
  for (const [i, picture] of pictures.entries()) await writePng(paths[i]!, picture, text);
  return paths;
}

/**
 * The texts of a PNG that hold a recipe, with Denoise's version, the engine and the adapter: all of it, and what other programs
 * read of it.
 */
export function recipeTexts(
  recipe: Recipe,
  { engine, adapterName }: Pick<Device, "engine" | "adapterName">,
): Record<string, string> {
  const made: Recipe = { ...recipe, version, engine, adapter: adapterName };
  return {
    [KEYWORD]: writeJson(made),
    parameters: infotextOfRecipe(made),
  };
}

/** The path of one picture of a batch, counted from 1: a.png and 2 give a-2.png. */
export function numbered(path: string, number: number): string {
  const { dir, name, ext } = parse(path);
  return join(dir, `${name}-${number}${ext}`);
}

/** Refuses names of other formats, as the bytes are those of a PNG. */
function expectPngName(path: string): void {
  const ending = extname(path).toLowerCase();
  if (!/^\.(jpe?g|jfif|webp|gif|bmp|tiff?|avif|hei[cf]|jxl)$/.test(ending)) return;
  throw new TypeError(
    `Cannot save ${path}: expected a name that ends in .png, got ${ending}; only PNG is written`,
  );
}

function columnsOf(path: string, grid: boolean | number, count: number): number | undefined {
  if (grid === false) return undefined;
  if (grid === true) return Math.ceil(Math.sqrt(count));
  if (Number.isInteger(grid) && grid >= 1) return Math.min(grid, Math.max(1, count));
  throw new RangeError(`Cannot save ${path}: expected grid true or a number of columns, got ${grid}`);
}

/**
 * Reads a PNG's pixels and texts as they are stored. Files of `savePng` have a `recipe`. For a tensor, and
 * for other formats, there is `loadImage`.
 */
export async function loadPng(path: string): Promise<PngFile & { recipe?: Recipe | undefined }> {
  const file = await readPng(path);
  const text = file.text[KEYWORD];
  return {
    ...file,
    recipe: text === undefined
      ? undefined
      : parseJson(text, `the recipe in ${path}`, { bigints: true }) as Recipe,
  };
}
