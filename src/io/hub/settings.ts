import { join } from "node:path";

/** The variables that Python's huggingface_hub reads, with its defaults. */

/** Reads one variable; undefined where it is not set. */
export type Env = (name: string) => string | undefined;

/** Reads variables of the process. */
export const processEnv: Env = (name) => Deno.env.get(name);

/** Settings by these variables. */
export interface HubSettings {
  /** Address of the hub, without a slash at its end. */
  endpoint: string;
  /** Folder that holds `models--owner--name`. */
  cache: string;
  /** The user's access token. */
  token?: string | undefined;
  /** No requests are made. */
  offline: boolean;
  /** Longest silence of a server while it sends a file, in ms. */
  timeout: number;
  /** The same for listings and metadata. */
  etagTimeout: number;
  /** Files in the cache are links to blobs, not copies. */
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

/** True where the environment asks for no bars of downloads. */
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

/** The token of the environment, or of the file that signing in has written. */
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

/** Refuses odd characters, as fetch() would print such a token in its error. */
function checkToken(token: string | undefined): string | undefined {
  const clean = token?.replaceAll(/[\r\n]/g, "").trim();
  if (!clean) return undefined;
  if (!/^[\x21-\x7e]+$/.test(clean)) {
    throw new TypeError("Cannot use the hub's token: expected printable characters; copy HF_TOKEN again");
  }
  return clean;
}

/**
 * Replaces `~` and `~user` by homes, then `$NAME` and `${NAME}` by variables, on Windows `%NAME%` too, as
 * Python's os.path.expandvars(os.path.expanduser(path)) does. systemd, Docker and /etc/environment pass such
 * paths on as they are. Unknown names stay in the path.
 */
export function expandPath(path: string, env: Env): string {
  const names = Deno.build.os === "windows" ? /\$(\w+|\{[^}]*\})|%([^%]+)%/g : /\$(\w+|\{[^}]*\})/g;
  return expandUser(path, env).replace(names, (whole, name: string | undefined, percent = "") => {
    const plain = name?.replace(/^\{|\}$/g, "") ?? percent;
    const readable = plain !== "" && !/[=\0]/.test(plain); // no variable has such a name
    return (readable ? env(plain) : undefined) ?? whole;
  });
}

function expandUser(path: string, env: Env): string {
  const [tilde, user] = /^~([^/\\]*)/.exec(path) ?? [];
  if (tilde === undefined) return path;
  const home = user ? homeOf(([name]) => name === user) : homeFolder(env);
  return home === undefined ? path : home.replace(/\/+$/, "") + path.slice(tilde.length) || "/";
}

/** The user's home; undefined where the machine does not tell it. */
export function homeFolder(env: Env): string | undefined {
  if (Deno.build.os !== "windows") return env("HOME") ?? homeOf(([, , uid]) => uid === `${userId()}`);
  const path = env("HOMEPATH");
  return env("USERPROFILE") ?? (path === undefined ? undefined : (env("HOMEDRIVE") ?? "") + path);
}

/** The home of a user in /etc/passwd. */
function homeOf(fits: (fields: string[]) => boolean): string | undefined {
  try {
    return Deno.readTextFileSync("/etc/passwd").split("\n").map((line) => line.split(":")).find(fits)?.[5];
  } catch {
    return undefined; // Windows has no such file, and Deno may not read it
  }
}

function userId(): number | null {
  try {
    return Deno.uid();
  } catch {
    return null; // Deno may not ask
  }
}
