import { leftOfInfotext, settingsOfInfotext } from "./infotext.ts";
import { type FileSettings, NUMBERS } from "./request.ts";

/** What /sdapi/v1/png-info tells of a PNG. */
export interface PngInfo {
  /** A1111's infotext. */
  readonly info: string;
  /** All other texts: Denoise's recipe is "denoise". */
  readonly items: Readonly<Record<string, string>>;
  /** What stands in the infotext. */
  readonly parameters: Readonly<Record<string, string>>;
}

/** What a PNG's texts tell. */
export interface FileRecipe {
  readonly settings: FileSettings;
  /** Names of settings that decided its pixels too, and that no field can take from it. */
  readonly left: readonly string[];
}

/** What a PNG's texts tell: those of Denoise's recipe, else of A1111's infotext; undefined where there are none. */
export function recipeIn({ items, parameters }: PngInfo): FileRecipe | undefined {
  if (items["denoise"]) return ofRecipe(items["denoise"]);
  const settings = settingsOfInfotext(parameters);
  return settings && { settings, left: leftOfInfotext(parameters) };
}

const TEXTS = [
  ...["prompt", "negative", "model", "vae", "scheduler", "size", "cache", "prompt-syntax", "seed"],
  ...["variation", "seed-size"],
  ...["hires", "hires-upscaler", "hires-scheduler", "hires-prompt", "hires-negative"],
];
const LISTS = ["lora", "embedding"];
const LEFT = [
  ...["image", "mask", "strength", "mask-blur", "mask-content", "resize"],
  ...["controlnet", "t2i-adapter", "control", "ip-adapter"],
];

/** Without pictures, of which a recipe has fingerprints alone (`imageContent`), and without what belongs to them. */
function ofRecipe(text: string): FileRecipe | undefined {
  try {
    const recipe: object = JSON.parse(text.replace(/("seed": ?)(-?\d+)/, '$1"$2"')); // of 64 bits
    const left = LEFT.filter((name) => name in recipe || `${name}Content` in recipe);
    return { settings: { seed: "", ...Object.fromEntries(Object.entries(recipe).filter(isKept)) }, left };
  } catch {
    return undefined; // of another program
  }
}

/** True for a setting of the form's, of the right type: whoever made the file may have written anything. */
function isKept([name, value]: [string, unknown]): boolean {
  if (TEXTS.includes(name)) return typeof value === "string";
  if ((NUMBERS as readonly string[]).includes(name)) return typeof value === "number";
  return LISTS.includes(name) && Array.isArray(value) && value.every((one) => typeof one === "string");
}
