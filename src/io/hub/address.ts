import { nameOfKind } from "../../core/error.ts";
import type { Env } from "./settings.ts";

/** A repository, or a file or folder in it. */
export interface HubAddress {
  /** As owner/name. */
  readonly repo: string;
  /** Branch, tag or commit, where it is named. */
  readonly revision?: string | undefined;
  /** A file or folder in the repository. */
  readonly path?: string | undefined;
}

const HOSTS = ["huggingface.co", "www.huggingface.co", "hf.co"];
const REVISION = "refs/pr/\\d+|refs/convert/[\\w.-]+|[^/]+";

/** owner/name, perhaps with a revision and a path: `owner/name@v1/file` or, as in addresses, `/blob/v1/file`. */
const PLACE = new RegExp(
  `^([^/@]+/[^/@]+)(?:@(${REVISION}))?(?:/(?:blob|resolve|tree|raw|blame)/(${REVISION}))?(?:/(.+))?$`,
);

/**
 * Reads owner/name[@revision][/path], the same behind hf://, or the address of a page of the hub. Undefined
 * for other texts; throws for addresses elsewhere.
 */
export function hubAddress(text: string, env: Env): HubAddress | undefined {
  if (typeof text !== "string" || text === "") {
    throw new TypeError(`Cannot load a model: expected a folder or owner/name, got ${nameOfKind(text)}`);
  }
  if (/^([./~\\]|[A-Za-z]:[/\\])/.test(text)) return undefined;
  const [, web] = /^https?:\/\/(.*)$/.exec(text) ?? [];
  const bare = (web ?? text).replace(/^hf:\/\/(models\/)?/, "");
  const known = [...HOSTS, ...endpointOf(env)];
  const host = known.find((host) => bare.startsWith(`${host}/`));
  if (web !== undefined && host === undefined) {
    throw new TypeError(
      `Cannot open ${text}: expected an address at ${known.join(", ")}, got another host; ` +
        "download the file and name its path",
    );
  }
  const place = host === undefined
    ? bare
    : decode(bare.slice(host.length + 1).replace(/[?#].*$/, "").replace(/\/+$/, ""));
  const [, repo, at, of, path] = PLACE.exec(place) ?? [];
  return repo === undefined ? undefined : { repo, revision: at ?? of, path };
}

/** The host of HF_ENDPOINT, with its path. */
function endpointOf(env: Env): string[] {
  const endpoint = env("HF_ENDPOINT")?.replace(/^https?:\/\//, "").replace(/\/+$/, "");
  return endpoint ? [endpoint] : [];
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone % is part of a name
  }
}

/** The file on the hub that a text names; undefined for paths of this machine, there or not. */
export async function fileOnHub(
  text: string,
  env: Env,
): Promise<HubAddress & { readonly path: string } | undefined> {
  const isHere = (path: string) => Deno.stat(path).then(() => true, () => false);
  if (await isHere(text)) return undefined;
  const { repo, revision, path } = hubAddress(text, env) ?? {};
  if (!repo || !path || await isHere(repo)) return undefined;
  return { repo, revision, path };
}
