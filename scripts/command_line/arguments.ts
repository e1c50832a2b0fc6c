/** One way in which all scripts read their arguments. */
import { parseArgs } from "node:util";
import { probablyMeant } from "../../src/core/error.ts";
import { version } from "../../src/core/version.ts";
import type { Option, Values } from "./options.ts";

type Options = Record<string, Option<unknown>>;

/**
 * Reads the arguments of a script. What stands in its usage line in brackets may be given without its name, in this
 * order, e.g. `scripts/ddpm.ts [model]`; what stands there in angle brackets must be given. Prints what `--help` and
 * `--version` ask for and ends the script. Throws one line for what is wrong.
 */
export function readArguments<O extends Options>(
  usage: string,
  about: string,
  options: O,
  args: string[] = Deno.args,
): Values<O> {
  return { ...defaultsOf(options), ...readGiven(usage, about, options, args) } as Values<O>;
}

/** The same without the defaults: what was given alone. */
export function readGiven<O extends Options>(
  usage: string,
  about: string,
  options: O,
  args: string[] = Deno.args,
): Partial<Values<O>> {
  const { tokens } = parseArgs({
    args: args.flatMap(bareAs(options)),
    strict: false,
    tokens: true,
    options: typesOf(options),
  });
  const asked = (name: string) => tokens.some((token) => token.kind === "option" && token.name === name);
  if (asked("help")) end(helpOf(usage, about, options));
  if (asked("version")) end(`Denoise ${version}, Deno ${Deno.version.deno}`);
  const places = [...usage.matchAll(/[[<]([\w-]+)[\]>]/g)].map(([, name]) => name!);
  const given = new Map<string, string[]>();
  let place = 0;
  for (const token of tokens) {
    if (token.kind === "option") {
      const name = expectName(token.rawName, token.name, options);
      give(given, name, expectValue(token.rawName, token.value, options[name]!, options), options);
    } else if (token.kind === "positional") {
      const last = places.at(-1);
      const more = last !== undefined && options[last]!.several ? last : undefined;
      const name = places[place++] ?? more ?? refuseSurplus(token.value, places);
      give(given, name, token.value, options);
    }
  }
  const missing = [...usage.matchAll(/<([\w-]+)>/g)].find(([, name]) => !given.has(name!));
  if (missing) throw new TypeError(`Cannot run ${usage}: expected ${missing[1]}, got none; --help says more`);
  return Object.fromEntries(
    [...given].map(([name, texts]) => [name, valueOf(name, texts, options[name]!)]),
  ) as Partial<
    Values<O>
  >;
}

function end(text: string): never {
  console.log(text);
  Deno.exit(0);
}

/** The value of an option, read from one text for each time that it was given. */
export function valueOf(name: string, texts: readonly string[], option: Option<unknown>): unknown {
  const values = texts.map((text) => {
    try {
      return option.read(text);
    } catch (error) {
      const { message } = error as Error;
      throw message.startsWith("Cannot ")
        ? error
        : new TypeError(`Cannot take --${name} ${text}: ${message}`);
    }
  });
  return option.several ? values.flat() : values[0];
}

/** The values where nothing is given. */
export function defaultsOf<O extends Options>(options: O): Values<O> {
  return Object.fromEntries(Object.entries(options).map(([name, { value }]) => [name, value])) as Values<O>;
}

/** An option that may stand alone takes "" where no value follows. */
function bareAs(options: Options): (arg: string, i: number, args: string[]) => string[] {
  return (arg, i, args) => {
    const alone = arg.startsWith("--") && options[arg.slice(2)]?.bare && /^(-|$)/.test(args[i + 1] ?? "");
    return [alone ? `${arg}=` : arg];
  };
}

function typesOf(options: Options) {
  const types = Object.entries(options).map(([name, { takes }]) =>
    [name, { type: takes === undefined ? "boolean" : "string" } as const] as const
  );
  const flag = { type: "boolean" } as const;
  return { ...Object.fromEntries(types), help: { ...flag, short: "h" }, version: flag };
}

function expectName(raw: string, name: string, options: Options): string {
  if (raw.startsWith("--") && Object.hasOwn(options, name)) return name;
  const near = nearestOption(name, options);
  const advice = near ? `did you mean --${near}?` : "--help lists the options";
  throw new TypeError(`Cannot take ${raw}: no such option; ${advice}`);
}

/** Names of options here, by their names in other programs. */
const ELSEWHERE: Record<string, string> = {
  "num-inference-steps": "steps",
  "guidance-scale": "guidance",
  "cfg-scale": "guidance",
  "true-cfg-scale": "true-cfg",
  "negative-prompt": "negative",
  "num-images-per-prompt": "count",
  "batch-size": "count",
  "num-images": "count",
  "sampler": "scheduler",
  "width": "size",
  "height": "size",
  "resolution": "size",
  "init-image": "image",
  "denoising-strength": "strength",
  "output": "out",
  "repo": "model",
  "checkpoint": "model",
  "precision": "dtype",
  "torch-dtype": "dtype",
  "vram": "memory",
};

function nearestOption(name: string, options: Options): string | undefined {
  const kebab = name.replaceAll(/([a-z])([A-Z])/g, "$1-$2").replaceAll("_", "-").toLowerCase();
  const elsewhere = ELSEWHERE[kebab];
  if (elsewhere !== undefined && Object.hasOwn(options, elsewhere)) return elsewhere;
  return probablyMeant(name, Object.keys(options));
}

function expectValue(
  raw: string,
  value: string | undefined,
  option: Option<unknown>,
  options: Options,
): string {
  if (option.takes === undefined) {
    if (value === undefined) return "";
    throw new TypeError(`Cannot take ${raw}=${value}: expected ${raw} alone`);
  }
  const isOption = value?.startsWith("--") && Object.hasOwn(options, value.slice(2));
  if (value === undefined || isOption) {
    throw new TypeError(`Cannot take ${raw}: expected ${raw} ${option.takes}, got ${value ?? "no value"}`);
  }
  return value;
}

function give(given: Map<string, string[]>, name: string, text: string, options: Options): void {
  const before = given.get(name) ?? [];
  if (before.length > 0 && !options[name]!.several) {
    const got = options[name]!.secret ? "expected it once" : `got "${before[0]}" and "${text}"`;
    throw new TypeError(`Cannot take --${name} twice: ${got}`);
  }
  given.set(name, [...before, text]);
}

function refuseSurplus(text: string, places: readonly string[]): never {
  const expected = places.length === 0 ? "options alone" : places.join(", then ");
  const quoted = places.includes("prompt") ? "put the prompt in quotes; " : "";
  throw new TypeError(
    `Cannot take "${text}": expected ${expected} without a name; ${quoted}--help lists the options`,
  );
}

const HEAD = 26; // columns of an option with its value
const WIDTH = 110;

/** The text of `--help`. */
export function helpOf(usage: string, about: string, options: Options): string {
  const rows = Object.entries({ ...options, help: HELP, version: VERSION }).map(([name, option]) => {
    const head = `  --${name}${option.takes ? option.bare ? ` [${option.takes}]` : ` ${option.takes}` : ""}`;
    const value = option.shown ?? (typeof option.value === "boolean" ? undefined : option.value);
    const several = option.several ? "; may be given several times" : "";
    const body = `${option.help}${several}${value === undefined ? "" : `; default: ${value}`}`;
    return head.length > HEAD - 2
      ? `${head}\n${wrapped(body)}`
      : `${head.padEnd(HEAD)}${wrapped(body).trimStart()}`;
  });
  return `Usage: deno run -A ${usage} [options]\n\n${about}\n\n${rows.join("\n")}`;
}

const HELP: Option<boolean> = { help: "prints this, and ends", value: false, read: () => true };
const VERSION: Option<boolean> = { help: "prints the version, and ends", value: false, read: () => true };

/** Words in lines behind the options' column. */
function wrapped(text: string): string {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= WIDTH - HEAD) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else lines.push(word);
  }
  return lines.map((line) => " ".repeat(HEAD) + line).join("\n");
}
