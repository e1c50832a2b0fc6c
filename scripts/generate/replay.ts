import { type Device, loadPng, type Recipe, version } from "denoise";
import { writeJson } from "../../src/io/files/json.ts";
import { valueOf } from "../command_line/arguments.ts";
import { type Given, options } from "./options.ts";
import { KEPT } from "./recipe.ts";

/** Other things that decide it, which a replay compares, by their names in messages. */
const COMPARED: Record<string, string> = {
  version: "Denoise's version",
  engine: "the engine",
  adapter: "the adapter",
  dtype: "the dtype",
  storage: "what is stored in fewer bits",
  schedulerClass: "the scheduler",
  schedulerConfig: "the scheduler's config",
  revision: "the model's revision",
  weights: "the model's weights",
  loraWeights: "the LoRA's weights",
  loraConfigs: "the LoRA's config",
  vaeWeights: "the autoencoder's weights",
  controlnetWeights: "the ControlNet's weights",
  t2iAdapterWeights: "the T2I-Adapter's weights",
  ipAdapterWeights: "the IP-Adapter's weights",
  embeddingWeights: "the textual inversion's vectors",
  imageContent: "the picture that is changed",
  maskContent: "the mask",
  controlContent: "the pictures that control",
  ipContent: "the pictures beside the prompt",
};

/** Options of whose files older recipes do not tell, by the names that came later. */
const LATER: Record<string, string> = {
  loraConfigs: "lora",
  vaeWeights: "vae",
  controlnetWeights: "controlnet",
  t2iAdapterWeights: "t2i-adapter",
  ipAdapterWeights: "ip-adapter",
  embeddingWeights: "embedding",
};

/** The settings in a picture's file, and all that it says. */
export interface Replayed {
  readonly path: string;
  readonly settings: Given;
  readonly recipe: Recipe;
}

/** Tells in one line what is otherwise now than when a picture was drawn, so that another may come of it. */
export function tellDifferences({ path, recipe: then }: Replayed, recipe: Recipe, device: Device): void {
  const now: Recipe = { ...recipe, version, engine: device.engine, adapter: device.adapterName };
  const words = Object.entries(COMPARED).flatMap(([name, what]) => {
    const [before, after] = [then[name], now[name]];
    if (before === undefined && then["schedulerClass"] === undefined) return []; // other scripts write less
    if (before === undefined && then[LATER[name] ?? name] !== undefined) return []; // older versions, too
    if (writeJson(before) === writeJson(after)) return [];
    const short = [before, after].every((value) => typeof value !== "object" && `${value}`.length <= 40);
    return [short ? `${what} (${after ?? "none"}, was ${before ?? "none"})` : what];
  });
  if (words.length > 0) console.warn(`Not all is as when ${path} was drawn: ${words.join(", ")}`);
}

/** The settings with which a picture was made. */
export async function readRecipe(path: string): Promise<Replayed> {
  const { recipe, text } = await loadPng(path).catch((error: Error) => {
    throw new Error(
      `Cannot replay ${path}: ${error.message.replace(/^Cannot load .*?: /, "").split(";")[0]}` +
        "; name a PNG that Denoise made",
      { cause: error },
    );
  });
  if (!recipe) {
    const others = Object.entries({
      workflow: "ComfyUI",
      "invokeai_metadata": "InvokeAI",
      parameters: "A1111",
    });
    const other = others.find(([keyword]) => keyword in text)?.[1];
    const got = other ? `one of ${other} or its like` : "one without its settings";
    throw new Error(`Cannot replay ${path}: expected a picture that Denoise made, got ${got}`);
  }
  const kept = [...KEPT, "prompt", "memory", "size", "dtype", "engine", "seed"] as const;
  const settings = kept.flatMap((name) => {
    const value = recipe[name];
    if (value === undefined) return [];
    const texts = (Array.isArray(value) ? value : [value]).map(String);
    return [[name, settingOf(path, name, texts)]];
  });
  return { path, recipe, settings: Object.fromEntries(settings) };
}

function settingOf(path: string, name: keyof typeof options, texts: string[]): unknown {
  try {
    return valueOf(name, texts, options[name]);
  } catch (error) {
    const message = (error as Error).message.replace(/^Cannot take --\S+ /, "");
    throw new TypeError(`Cannot replay ${path}: its setting ${name} is wrong: ${message}`);
  }
}
