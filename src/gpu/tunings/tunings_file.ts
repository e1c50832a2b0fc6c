/** Keeps measurements of kernels between runs: a file for each adapter and driver, in the user's cache folder. */
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { hash } from "../../core/hash.ts";
import known from "./known_tunings.json" with { type: "json" };
import { describeTuned, sameAdapter, type TunedAdapter, Tunings, type TuningsData } from "./tunings.ts";

const TuningsFile: z.ZodType<TuningsData> = z.strictObject({
  format: z.literal("denoise tunings"),
  version: z.literal(1),
  adapter: z.strictObject({
    engine: z.enum(["dawn", "deno"]),
    vendor: z.string(),
    architecture: z.string(),
    device: z.string(),
    description: z.string(),
  }),
  kernels: z.record(
    z.string(),
    z.array(z.strictObject({ shape: z.string(), ms: z.record(z.string(), z.number().positive()) })),
  ),
  dropped: z.record(z.string(), z.strictObject({ code: z.string(), why: z.string() })),
});

/** The folder of all files of tunings: DENOISE_TUNINGS, else one in the user's cache; it need not exist. */
function tuningsFolder(): string {
  const named = Deno.env.get("DENOISE_TUNINGS");
  return named || join(Deno.env.get("XDG_CACHE_HOME") || join(homedir(), ".cache"), "denoise", "tunings");
}

/** The file for an adapter: its name for people, and a hash of all that tells it from others. */
export function tuningsPath(adapter: TunedAdapter): string {
  const words = [adapter.engine, adapter.device || adapter.description].join(" ").toLowerCase();
  const name = words.replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-|-$/g, "").slice(0, 60);
  return join(tuningsFolder(), `${name}-${hash(Object.values(adapter).join("\n"))}.json`);
}

/** Measurements on an adapter, and those that ship with Denoise. A file that cannot be read is reported, and not used. */
export function readTunings(adapter: TunedAdapter): Tunings {
  const tunings = new Tunings(adapter, knownTunings(adapter));
  const own = readOwn(adapter);
  return own ? tunings.merge(own) : tunings;
}

/** Measurements that ship with Denoise for such adapters, whatever their driver. */
function knownTunings(adapter: TunedAdapter): Tunings {
  const same = (other: TunedAdapter) => sameAdapter({ ...other, description: adapter.description }, adapter);
  const tunings = new Tunings(adapter);
  for (const data of z.array(TuningsFile).parse(known)) if (same(data.adapter)) tunings.merge(data);
  return tunings;
}

function readOwn(adapter: TunedAdapter): TuningsData | undefined {
  let path = "";
  try {
    path = tuningsPath(adapter);
    const data = parseTunings(Deno.readTextFileSync(path), path);
    if (sameAdapter(data.adapter, adapter)) return data;
    console.warn(`${path} is not used: it was measured on ${describeTuned(data.adapter)}; remove it`);
  } catch (error) {
    const { NotFound, NotCapable } = Deno.errors; // nothing was measured, or Deno may not look there
    if (!(error instanceof NotFound || error instanceof NotCapable)) {
      console.warn(`${path} is not used: ${(error as Error).message}; remove it`);
    }
  }
  return undefined;
}

/** Reads a file of tunings. Throws in one line where it is none. */
export function parseTunings(text: string, path: string): TuningsData {
  const expected = `Cannot read tunings from ${path}: expected a file of \`deno task tune\``;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new SyntaxError(`${expected}, got no JSON`);
  }
  const { data, error } = TuningsFile.safeParse(json);
  if (data) return data;
  const issue = error.issues[0]!;
  throw new TypeError(`${expected}, got one with ${issue.path.join(".") || "its top"}: ${issue.message}`);
}

/**
 * Writes tunings, merged with those that another process may have written since, which go first. Returns the
 * file's path. Readers find the old file or the new one, never a part.
 */
export function writeTunings(tunings: Tunings): string {
  const path = tuningsPath(tunings.adapter);
  const passing = `${path}.${crypto.randomUUID().slice(0, 8)}.tmp`;
  const there = readOwn(tunings.adapter);
  if (there) tunings.merge(there);
  try {
    Deno.mkdirSync(tuningsFolder(), { recursive: true });
    Deno.writeTextFileSync(passing, `${JSON.stringify(tunings.data, null, 2)}\n`);
    Deno.renameSync(passing, path);
  } catch (cause) {
    try {
      Deno.removeSync(passing);
    } catch { /* it may not exist */ }
    throw new Error(`Cannot keep tunings in ${path}: ${(cause as Error).message.split("\n")[0]}`, { cause });
  }
  return path;
}
