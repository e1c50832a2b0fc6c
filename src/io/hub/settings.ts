/** The variables that Python's huggingface_hub reads, with its defaults. */
import { join } from "node:path";

/** Where the hub is, where its files are kept and how to reach them. */
export interface HubSettings {
  /** Address of the hub, without a slash at its end. */
  endpoint: string;
  /** Folder that holds `models--owner--name`. */
  cache: string;
  /** Shows the hub who asks. */
  token?: string;
  /** Ask nobody. */
  offline: boolean;
  /** A server that is silent for longer than this is taken for gone, in ms. */
  timeout: number;
}

/** Reads the settings from the environment; a token given by the caller wins. */
export async function hubSettings(
  env: (name: string) => string | undefined,
  token?: string,
): Promise<HubSettings> {
  const home = env("HOME") ?? env("USERPROFILE") ?? ".";
  const path = (name: string) => env(name)?.replace(/^~(?=$|[/\\])/, home);
  const hfHome = path("HF_HOME") || join(path("XDG_CACHE_HOME") || join(home, ".cache"), "huggingface");
  const secret = token || env("HF_TOKEN") || env("HUGGING_FACE_HUB_TOKEN") ||
    await readToken(path("HF_TOKEN_PATH") || join(hfHome, "token"));
  return {
    endpoint: checkEndpoint(env("HF_ENDPOINT") || "https://huggingface.co"),
    cache: path("HF_HUB_CACHE") || join(hfHome, "hub"),
    token: checkToken(secret),
    offline: /^(1|on|yes|true)$/i.test(env("HF_HUB_OFFLINE") ?? ""),
    timeout: 1000 * (Number(env("HF_HUB_DOWNLOAD_TIMEOUT")) || 30),
  };
}

async function readToken(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch {
    return undefined; // not signed in
  }
}

function checkEndpoint(endpoint: string): string {
  if (!/^https?:\/\//.test(endpoint) || !URL.canParse(endpoint)) {
    throw new TypeError(
      `Cannot use HF_ENDPOINT: expected an address as https://huggingface.co, got "${endpoint}"`,
    );
  }
  return endpoint.replace(/\/+$/, "");
}

/** fetch() would print a token with odd characters in its error, so it is looked at first. */
function checkToken(token: string | undefined): string | undefined {
  const clean = token?.trim();
  if (!clean) return undefined;
  if (!/^[\x21-\x7e]+$/.test(clean)) {
    throw new TypeError("Cannot use the hub's token: expected printable characters; copy HF_TOKEN again");
  }
  return clean;
}
