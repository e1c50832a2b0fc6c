/** The variables that Python's huggingface_hub reads, with its defaults. */
import { join } from "node:path";
import { type Env, expandPath, homeFolder } from "./expand.ts";

/** Where the hub is, where its files are kept and how to reach them. */
export interface HubSettings {
  /** Address of the hub, without a slash at its end. */
  endpoint: string;
  /** Folder that holds `models--owner--name`. */
  cache: string;
  /** Shows the hub who asks. */
  token?: string | undefined;
  /** Ask nobody. */
  offline: boolean;
  /** A server that is silent for longer than this while it sends a file is taken for gone, in ms. */
  timeout: number;
  /** The same for a listing and for what a file is. */
  etagTimeout: number;
  /** Show files in the cache as links to their bytes, not as copies. */
  symlinks: boolean;
}

const ENDPOINT = "https://huggingface.co";
const SECONDS = 10; // of both timeouts

/** Reads the settings from the environment; a token given by the caller wins. */
export async function hubSettings(env: Env, token?: string): Promise<HubSettings> {
  const path = (names: readonly string[], other: string) =>
    expandPath(names.map(env).find((value) => value !== undefined) ?? other, env);
  const home = homeFolder(env) ?? ".";
  const hfHome = path(["HF_HOME"], join(env("XDG_CACHE_HOME") ?? join(home, ".cache"), "huggingface"));
  return {
    endpoint: checkEndpoint(env("HF_ENDPOINT") || ENDPOINT),
    cache: path(["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"], join(hfHome, "hub")),
    token: checkToken(token) ?? await ownToken(env, path(["HF_TOKEN_PATH"], join(hfHome, "token"))),
    offline: isTrue(env("HF_HUB_OFFLINE") || env("TRANSFORMERS_OFFLINE")),
    timeout: milliseconds("HF_HUB_DOWNLOAD_TIMEOUT", env),
    etagTimeout: milliseconds("HF_HUB_ETAG_TIMEOUT", env),
    symlinks: !isTrue(env("HF_HUB_DISABLE_SYMLINKS")),
  };
}

/** Whether the environment asks for no bars of downloads. */
export function hidesDownloads(env: Env): boolean {
  return isTrue(env("HF_HUB_DISABLE_PROGRESS_BARS"));
}

function isTrue(value: string | undefined): boolean {
  return /^(1|on|yes|true)$/i.test(value ?? "");
}

/** A variable of whole seconds; 0 and nothing mean the default. */
function milliseconds(name: string, env: Env): number {
  const text = env(name);
  if (text === undefined) return 1000 * SECONDS;
  const seconds = text.trim() === "" ? NaN : Number(text);
  if (seconds >= 0 && Number.isFinite(seconds)) return 1000 * (seconds || SECONDS);
  throw new TypeError(`Cannot use ${name}: expected a number of seconds, got "${text}"; set it to e.g. 30`);
}

/** What the environment or the file of those who are signed in says of the user. */
async function ownToken(env: Env, path: string): Promise<string | undefined> {
  if (isTrue(env("HF_HUB_DISABLE_IMPLICIT_TOKEN"))) return undefined;
  return checkToken(env("HF_TOKEN") || env("HUGGING_FACE_HUB_TOKEN")) ?? checkToken(await readToken(path));
}

async function readToken(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    // Not signed in, or Deno was not allowed to look.
    if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotCapable) return undefined;
    const reason = cause instanceof Error ? cause.message.split(":")[0] : String(cause);
    throw new Error(
      `Cannot read the hub's token from ${path}: expected a file, got "${reason}"; set HF_TOKEN_PATH to it`,
      { cause },
    );
  }
}

function checkEndpoint(endpoint: string): string {
  if (!/^https?:\/\//.test(endpoint) || !URL.canParse(endpoint)) {
    throw new TypeError(`Cannot use HF_ENDPOINT: expected an address as ${ENDPOINT}, got "${endpoint}"`);
  }
  return endpoint.replace(/\/+$/, "");
}

/** fetch() would print a token with odd characters in its error, so it is looked at first. */
function checkToken(token: string | undefined): string | undefined {
  const clean = token?.replaceAll(/[\r\n]/g, "").trim();
  if (!clean) return undefined;
  if (!/^[\x21-\x7e]+$/.test(clean)) {
    throw new TypeError("Cannot use the hub's token: expected printable characters; copy HF_TOKEN again");
  }
  return clean;
}
