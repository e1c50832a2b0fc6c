import { loadPng, type Recipe } from "denoise";
import { type Options, schema, type Settings } from "./options.ts";

/** Settings that a picture's file keeps: those that decide how it looks. */
const KEPT = [
  "prompt",
  "negative",
  "model",
  "base",
  "config",
  "lora",
  "scheduler",
  "steps",
  "guidance",
  "true-cfg",
  "max-sequence-length",
  "size",
  "image",
  "strength",
  "mask",
] as const;

/** How the picture of a seed was made. */
export function recipeOf(settings: Settings, seed: number): Recipe {
  return { ...Object.fromEntries(KEPT.map((name) => [name, settings[name]])), seed };
}

/** The settings with which a picture was made. */
export async function replayed(path: string): Promise<Options> {
  const { recipe } = await loadPng(path);
  if (!recipe) {
    throw new Error(
      `Cannot replay ${path}: expected a picture that Denoise made, got one without its settings`,
    );
  }
  const read = schema.safeParse(recipe);
  if (read.success) return read.data;
  const { path: [name], message } = read.error.issues[0]!;
  throw new TypeError(`Cannot replay ${path}: its setting ${String(name)} is wrong: ${message}`);
}
