import { z } from "zod";
import { BinaryFile } from "./files/binary_file.ts";
import { HEAD, kindOf, otherFile } from "./files/file_kinds.ts";
import { parseJson } from "./files/json.ts";
import { decodeLatin1 } from "./files/latin1.ts";
import { damaged, quote } from "./files/errors.ts";

const maxJson = 100_000_000; // bytes; tokenizers are the largest, at some 20 MB

/** Reads a JSON file. Errors tell line and column, or what the file is instead. */
export async function readJson(path: string): Promise<unknown> {
  using file = await BinaryFile.open(path);
  if (file.size > maxJson) throw damaged(path, `JSON of at most ${maxJson} bytes`, `${file.size}`);
  const bytes = await file.read(0, file.size);
  const head = bytes.subarray(0, HEAD);
  const found = kindOf(head);
  const mayBeJson = !found || found.kind === "a JSON file" ||
    (found.isText && /^\s*[{["]/.test(decodeLatin1(head)));
  if (!mayBeJson) throw otherFile(head, path, "JSON", "download it again, or name a JSON file");
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw otherFile(head, path, "JSON in UTF-8", "download it again, or name a JSON file");
  }
  const value = parseJson(text, path);
  const refused = refusalIn(value);
  if (refused === undefined) return value;
  throw new TypeError(
    `Cannot load ${path}: expected a config, got a server's error ${quote(refused)}; download it again`,
  );
}

/** The error that a server sent in JSON in place of a file: `{"error":"Repository not found"}`. */
function refusalIn(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || Object.keys(value).length > 3) return undefined;
  const { error, message = error } = value as Record<string, unknown>;
  return "error" in value && typeof message === "string" ? message : undefined;
}

/**
 * Checks a config against its schema; `where` names it in messages. The message of a refinement says what was
 * expected: `z.number().refine(isEven, "an even number")` gives "expected width to be an even number, got 7".
 */
export function parseConfig<S extends z.ZodType>(schema: S, value: unknown, where: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new TypeError(`Cannot load ${where}: ${problemOf(result.error, value)}; correct the config`);
}

/** The first problem that zod found in a value: `expected width to be a number, got "7"`. */
export function problemOf({ issues }: Pick<z.ZodError, "issues">, value: unknown): string {
  const [issue, ...others] = issues as [z.core.$ZodIssue, ...z.core.$ZodIssue[]];
  const { path, expected } = describe(issue);
  const subject = path.length > 0 ? `${format(path)} to be ${expected}` : expected;
  const more = others.length > 0 ? ` (and ${others.length} more)` : "";
  return `expected ${subject}, got ${quote(follow(value, path))}${more}`;
}

/** A schema of a config; its shape has the keys that it knows. */
export type ConfigSchema<Config> = z.ZodType<Config> & Pick<z.ZodObject, "shape">;

/** A schema with a check of several keys together, which calls `expect` with what a key should be. */
export function withCheck<S extends z.ZodObject>(
  keys: S,
  check: (config: z.output<S>, expect: (key: keyof S["shape"] & string, expected: string) => void) => void,
): S {
  return keys.superRefine((config, context) =>
    check(config, (key, message) => context.addIssue({ code: "custom", path: [key], message }))
  );
}

/** A whole number above 0; sizes that no model has would take the memory of the host before weights could tell. */
export const positive: z.ZodInt = z.int().positive().max(2 ** 24);

/** A key that nothing here reads: of training, of generation, or about the file. */
export const ignoredKey: z.ZodOptional<z.ZodUnknown> = z.unknown().optional();

/** A boolean with a default; null is false, as in Python. */
export function flag(otherwise: boolean): z.ZodType<boolean> {
  return z.boolean().nullable().default(otherwise).transform((value) => value ?? false);
}

/** A schema for a key that counts as absent where it is null, as Python has it. */
export function absentIfNull<T>(schema: z.ZodType<T>): z.ZodType<T> {
  return z.preprocess((value) => value ?? undefined, schema);
}

/** Keys of a config that its schema does not have. Keys as _class_name are about the file, and left out. */
export function unknownKeys(schema: Pick<z.ZodObject, "shape">, value: unknown): string[] {
  return Object.keys(value ?? {}).filter((key) => !key.startsWith("_") && !Object.hasOwn(schema.shape, key));
}

/** The place of a problem in a config, and what was expected there. */
interface Problem {
  path: PropertyKey[];
  expected: string;
}

function describe(issue: z.core.$ZodIssue): Problem {
  const { path } = issue;
  switch (issue.code) {
    case "invalid_type":
      return { path, expected: typeNames[issue.expected] ?? issue.expected };
    case "invalid_value":
      return {
        path,
        expected: `${issue.values.length > 1 ? "one of " : ""}${issue.values.map(quote).join(", ")}`,
      };
    case "too_small":
      return {
        path,
        expected: bound(issue.origin, issue.inclusive ? "at least" : "more than", issue.minimum),
      };
    case "too_big":
      return {
        path,
        expected: bound(issue.origin, issue.inclusive ? "at most" : "less than", issue.maximum),
      };
    case "invalid_union":
      return describeUnion(path, issue.errors.map(([first]) => describe(first!)));
    default:
      return { path, expected: issue.message };
  }
}

/** All choices of a union; of one that fails only in an inner place, that problem. */
function describeUnion(path: PropertyKey[], choices: Problem[]): Problem {
  const inner = choices.find((choice) => choice.path.length > 0);
  if (inner) return { path: [...path, ...inner.path], expected: inner.expected };
  return { path, expected: choices.map((choice) => choice.expected).join(" or ") };
}

function bound(origin: string, relation: string, limit: number | bigint): string {
  const unit = { array: " items", string: " characters" }[origin] ?? "";
  return `${relation} ${limit}${unit}`;
}

const typeNames: Record<string, string> = {
  number: "a number",
  int: "a whole number",
  string: "a string",
  boolean: "true or false",
  array: "a list",
  tuple: "a list",
  object: "an object",
  record: "an object",
};

/** `down_block_types[1]`, `text.hidden_size`. */
function format(path: PropertyKey[]): string {
  const parts = path.map((key) => typeof key === "number" ? `[${key}]` : `.${String(key)}`);
  return parts.join("").replace(/^\./, "");
}

function follow(value: unknown, path: PropertyKey[]): unknown {
  return path.reduce((inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key], value);
}
