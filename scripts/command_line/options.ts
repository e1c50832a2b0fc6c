/** Kinds of options for scripts; `readArguments` reads them. */
import { join } from "node:path";
import { probablyMeant } from "../../src/core/error.ts";

/** An option of a script. */
export interface Option<T> {
  /** Its value's name in `--help`; a flag has none. */
  readonly takes?: string;
  /** A line for `--help`, without the default. */
  readonly help: string;
  /** Reads what is written behind it. Throws an error whose message begins with what was expected. */
  readonly read: (text: string) => T;
  /** The value where it is not given. */
  readonly value: T;
  /** That value in words, for `--help`; the value itself by default. */
  readonly shown?: string;
  /** True if it may be given several times; then its value is a list. */
  readonly several?: boolean;
  /** True if messages do not show its value. */
  readonly secret?: boolean;
  /** True if it may stand without a value, which then reads as "". */
  readonly bare?: boolean;
}

/** The values of options by their names. */
export type Values<Options extends Record<string, Option<unknown>>> = {
  readonly [Name in keyof Options]: Options[Name] extends Option<infer T> ? T : never;
};

/** Any text. */
export function text(help: string): Option<string | undefined>;
export function text(help: string, value: string): Option<string>;
export function text(help: string, value?: string): Option<string | undefined> {
  return { help, value, takes: "TEXT", read: (text) => text };
}

/** A file to read. */
export function file(help: string): Option<string | undefined>;
export function file(help: string, value: string): Option<string>;
export function file(help: string, value?: string): Option<string | undefined> {
  return { help, value, takes: "FILE", read: (text) => text };
}

/** A folder, a repository or a file of a model; of an embedded one only the folder's name is shown. */
export function model(help: string): Option<string | undefined>;
export function model(help: string, embedded: string): Option<string>;
export function model(help: string, embedded?: string): Option<string | undefined> {
  const read = (text: string) => text === "" ? fail("expected a folder, a file or a repository") : text;
  if (embedded === undefined) return { help, value: undefined, takes: "PATH_OR_REPO", read };
  const folder = join(import.meta.dirname!, "../../models", embedded);
  return { help, value: folder, takes: "PATH_OR_REPO", read, shown: `the embedded models/${embedded}` };
}

/** A whole number from `least`, 1 by default, to `most`. */
export function count(help: string): Option<number | undefined>;
export function count(help: string, value: number, least?: number, most?: number): Option<number>;
export function count(
  help: string,
  value?: number,
  least = 1,
  most = Number.MAX_SAFE_INTEGER,
): Option<number | undefined> {
  const read = (text: string) => {
    const number = Number(text);
    const whole = /^\+?\d+$/.test(text) && number >= least && number <= most;
    const bounds = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`;
    return whole ? number : fail(`expected a whole number ${bounds}`);
  };
  return { help, value, takes: "N", read };
}

/** A number, above `over` and up to `most` where these are given. */
export function number(help: string, bounds: Bounds & { value: number }): Option<number>;
export function number(help: string, bounds?: Bounds): Option<number | undefined>;
export function number(
  help: string,
  { over = -Infinity, most = Infinity, value }: Bounds & { value?: number } = {},
): Option<number | undefined> {
  const read = (text: string) => {
    if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) fail("expected a number");
    if (!(Number(text) > over)) fail(`expected a number above ${over}`);
    return Number(text) <= most ? Number(text) : fail(`expected a number of at most ${most}`);
  };
  return { help, value, takes: "N", read };
}

interface Bounds {
  readonly over?: number;
  readonly most?: number;
}

/** A seed of 64 bits, with sign or without, as torch takes it. */
export function seed(help = "of the noise"): Option<bigint> {
  const read = (text: string) => {
    const whole = /^[+-]?\d+$/.test(text) ? BigInt(text.replace("+", "")) : undefined;
    const fits = whole !== undefined && whole >= -(2n ** 63n) && whole < 2n ** 64n;
    return fits ? whole : fail("expected a whole number from -2^63 to 2^64 - 1");
  };
  return { help, value: 0n, takes: "N", read };
}

/** Width and height in pixels. */
export interface Size {
  /** Columns. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
}

/** A size as texts have it: WIDTHxHEIGHT. */
export function sidesIn({ width, height }: Size): string {
  return `${width}x${height}`;
}

/** `WIDTHxHEIGHT` in pixels, or one number for both. */
export function size(help: string): Option<Size | undefined>;
export function size(help: string, value: Size): Option<Size>;
export function size(help: string, value?: Size): Option<Size | undefined> {
  const read = (text: string) => {
    const [, width, height = width] = /^(\d+)(?:[xX×](\d+))?$/.exec(text) ?? [];
    const sides = { width: Number(width), height: Number(height) };
    if (sides.width >= 1 && sides.height >= 1) return sides;
    return fail("expected WIDTHxHEIGHT in pixels, e.g. 512x512");
  };
  const shown = value && sidesIn(value);
  return { help, value, takes: "WIDTHxHEIGHT", read, ...(shown ? { shown } : {}) };
}

const UNITS = { k: 1e3, m: 1e6, g: 1e9, t: 1e12, ki: 2 ** 10, mi: 2 ** 20, gi: 2 ** 30, ti: 2 ** 40 };

/** Bytes of memory: `8G`, `8GB` and `8` are 8·10⁹, `8GiB` is 8·2³⁰. */
export function memory(help: string): Option<number | undefined> {
  const read = (text: string) => {
    const [, amount, unit = "g"] = /^(\d+\.?\d*|\.\d+) ?(?:([kmgt]i?)b?|b)?$/i.exec(text) ?? [];
    const size = /\dB$/.test(text) ? 1 : UNITS[unit.toLowerCase() as keyof typeof UNITS];
    const bytes = Math.round(Number(amount) * size);
    return bytes > 0 ? bytes : fail("expected an amount of memory above 0, e.g. 8G, 8GiB or 500M");
  };
  return { help, value: undefined, takes: "8G", read };
}

/** One of some words. */
export function choice<const Word extends string>(
  help: string,
  words: readonly Word[],
): Option<Word | undefined>;
export function choice<const Word extends string>(
  help: string,
  words: readonly Word[],
  value: Word,
): Option<Word>;
export function choice<const Word extends string>(
  help: string,
  words: readonly Word[],
  value?: Word,
): Option<Word | undefined> {
  const read = (text: string) => {
    const word = words.find((word) => word === text.toLowerCase());
    const near = probablyMeant(text, words);
    return word ?? fail(`expected ${words.join(" or ")}${near ? `; did you mean ${near}?` : ""}`);
  };
  return { help, value, takes: words.join("|"), read };
}

/** Some of the words, with commas between them. */
export function some(help: string, words: readonly string[]): Option<readonly string[] | undefined> {
  const one = choice("", words);
  const read = (text: string) => text.split(",").map((part) => one.read(part.trim())!);
  return { help: `${help}: ${words.join(", ")}`, value: undefined, takes: "A,B", read };
}

/** An option that may be given several times. */
export function list<T>(option: Option<T | undefined>): Option<readonly T[] | undefined> {
  return { ...option, several: true } as unknown as Option<readonly T[] | undefined>; // read one by one
}

/** A file to write. */
export function output(help: string, ending: RegExp, example: string): Option<string | undefined>;
export function output(help: string, ending: RegExp, example: string, value: string): Option<string>;
export function output(
  help: string,
  ending: RegExp,
  example: string,
  value?: string,
): Option<string | undefined> {
  const read = (text: string) => ending.test(text) ? text : fail(`expected a name such as ${example}`);
  return { help, value, takes: "FILE", read };
}

/** A flag. */
export function flag(help: string): Option<boolean> {
  return { help, value: false, read: () => true };
}

function fail(expected: string): never {
  throw new TypeError(expected);
}
