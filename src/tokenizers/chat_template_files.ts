import { join } from "node:path";
import { z } from "zod";
import { parseConfig, readJson } from "../io/config.ts";
import { BinaryFile } from "../io/files/binary_file.ts";
import { damaged } from "../io/files/errors.ts";
import type { TokenizerFiles } from "./tokenizer_files.ts";

/** A chat template as its file has it. */
export interface TemplateText {
  /** The template. */
  readonly text: string;
  /** The file that messages about it name. */
  readonly where: string;
}

const MOST_BYTES = 1 << 20;

const named = z.array(z.looseObject({ name: z.string(), template: z.string() }));
const inConfig = z.looseObject({ chat_template: z.union([z.string(), named]).nullish() });

/**
 * A tokenizer's chat templates by their names, of which "default" is the usual one: from chat_template.jinja, else from
 * tokenizer_config.json, else from chat_template.json.
 */
export async function readChatTemplates(
  { folder, names, config, configPath }: TokenizerFiles,
): Promise<ReadonlyMap<string, TemplateText>> {
  if (names.has(FILE)) {
    const where = join(folder, FILE);
    return new Map([["default", { text: await readText(where), where }]]);
  }
  const own = templatesIn(config, configPath);
  if (own.size > 0 || !names.has(OLD_FILE)) return own;
  const where = join(folder, OLD_FILE);
  return templatesIn(await readJson(where), where);
}

const FILE = "chat_template.jinja";
const OLD_FILE = "chat_template.json";

/** The templates of a JSON file: one, or a list of those that have names. */
function templatesIn(json: unknown, where: string): Map<string, TemplateText> {
  const { chat_template: found } = parseConfig(inConfig, json, where);
  const list = typeof found === "string" ? [{ name: "default", template: found }] : found ?? [];
  return new Map(list.map(({ name, template: text }) => [name, { text, where }]));
}

async function readText(path: string): Promise<string> {
  using file = await BinaryFile.open(path);
  if (file.size > MOST_BYTES) {
    throw new RangeError(
      `Cannot load ${path}: expected a template of at most ${MOST_BYTES} bytes, got ${file.size}; it is none of a model's`,
    );
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await file.read(0, file.size));
  } catch {
    throw damaged(path, "a template in UTF-8", "other bytes");
  }
}
