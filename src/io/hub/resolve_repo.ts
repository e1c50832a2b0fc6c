import { dirname, join } from "node:path/posix";
import { nearest } from "../../core/error.ts";
import { isCommit, isEtag, isFile, listFolder, type Listing, RepoCache } from "./cache.ts";
import { hubAddress } from "./address.ts";
import { nearestHere, notFolder, nothingThere, notRepository } from "./not_here.ts";
import { HubRepo, RefusedError } from "./repo.ts";
import { hubSettings, processEnv } from "./settings.ts";
import { quote } from "../files/errors.ts";
import { PassingError } from "./retry.ts";
import { isIndex, isInside, shardsOf } from "../formats/shard_index.ts";

/** Progress of one file's download. */
export interface Progress {
  /** The file's name in the repository. */
  file: string;
  /** Bytes on the disk. */
  loaded: number;
  /** Bytes in all, where the hub tells. */
  total?: number | undefined;
  /** The file is checked and in its place. */
  done: boolean;
}

/** Options of resolveRepo(). */
export interface ResolveOptions {
  /** Chooses the needed files from the names of all; neededFiles() does it for a component. */
  files: (listing: string[]) => string[];
  /** Does not fetch the shards of a chosen index. */
  withoutShards?: boolean | undefined;
  /** Branch, tag or commit; by default the one in owner/name@revision, else "main". */
  revision?: string | undefined;
  /** A token in place of HF_TOKEN. */
  token?: string | undefined;
  /** Uses what the cache holds and makes no request, as HF_HUB_OFFLINE=1 does. */
  localFilesOnly?: boolean | undefined;
  /** Called with every piece that arrives. */
  onProgress?: ((progress: Progress) => void) | undefined;
  /** Called with a line where the hub gives nothing and the cache is used; console.warn by default. */
  onNotice?: ((line: string) => void) | undefined;
  /** Ends the download; what has arrived is kept for the next run. */
  signal?: AbortSignal | undefined;
  /** Reads variables, in place of the process's environment. */
  env?: (name: string) => string | undefined;
  /** Pause after the first failed request in ms, doubled after each. */
  retryPause?: number | undefined;
}

/** A folder or repository whose needed files are on this machine. */
export interface ResolvedRepo {
  /** The folder that has them under their own names. */
  folder: string;
  /** Absent for a local folder. */
  commit?: string | undefined;
  /** The chosen files and the shards of a chosen index, as paths in the folder. */
  files: string[];
}

/**
 * Finds a local folder, or downloads the needed files of a Hugging Face repository (owner/name,
 * owner/name@revision or its address) into the cache that Python's huggingface_hub uses too.
 */
export async function resolveRepo(pathOrRepo: string, options: ResolveOptions): Promise<ResolvedRepo> {
  const { signal, onNotice = console.warn, env = processEnv } = options;
  signal?.throwIfAborted();
  if (await isLocal(pathOrRepo)) return await openFolder(pathOrRepo, options);
  const address = hubAddress(pathOrRepo, env);
  const { repo } = address ?? {};
  const revision = options.revision ?? address?.revision ?? "main";
  if (!repo || address?.path || !isRepo(repo)) throw await notRepository(pathOrRepo);
  if (!isInside(revision)) {
    throw new Error(`Cannot open ${repo}: expected a branch, tag or commit, got ${quote(revision)}`);
  }

  const settings = await hubSettings(env, options.token);
  const cache = new RepoCache(settings.cache, repo, settings);
  const cached = await searchCache(cache, revision, options);
  const isWhole = cached?.missing.length === 0 && !cached.refusal;
  if (isWhole && isCommit(revision)) return cached.found;

  const lack = cached
    ? cached.refusal
      ? `what is here does not do (${cached.refusal.message})`
      : `missing ${cached.missing.join(", ")}`
    : `no revision "${revision}" in ${cache.folder}`;
  if (options.localFilesOnly || settings.offline) {
    if (isWhole) return cached.found;
    const advice = settings.offline ? "without HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE" : "with the network";
    throw new Error(`Cannot open ${repo} offline: ${lack}; run once ${advice}${await perhaps(repo)}`);
  }

  const hub = new HubRepo(settings, repo, { pause: options.retryPause ?? 1000, signal });
  try {
    const { commit, listing } = await askHub(hub, cache, revision, { patient: !isWhole });
    const found = await fetchFiles({ hub, cache, commit, listing }, options);
    await cache.setCommit(revision, commit).catch(() => {}); // a read-only cache may hold all that is needed
    return found;
  } catch (error) {
    const isOfHub = error instanceof PassingError || error instanceof RefusedError;
    if (isWhole && isOfHub) { // as in huggingface_hub
      onNotice(`Using ${repo} as last fetched (${cached.found.commit?.slice(0, 8)}): ${error.message}`);
      return cached.found;
    }
    if (!(error instanceof PassingError)) throw error;
    const meant = await perhaps(repo);
    throw new Error(`Cannot open ${repo}: ${error.message}, and ${lack}; ${error.advice}${meant}`, {
      cause: error,
    });
  }
}

/** True for folders, complete or not, and for repositories whose needed files are in the cache. */
export async function isHere(pathOrRepo: string, options: ResolveOptions): Promise<boolean> {
  if (await Deno.stat(pathOrRepo).then(({ isDirectory }) => isDirectory, () => false)) return true;
  return await resolveRepo(pathOrRepo, { ...options, localFilesOnly: true }).then(() => true, () => false);
}

/** True for paths, and for names of folders that are here. */
async function isLocal(pathOrRepo: string): Promise<boolean> {
  const looksLocal = /^(\.{0,2}[/\\]|\.{1,2}$|~|[A-Za-z]:)/.test(pathOrRepo);
  const stat = await Deno.stat(pathOrRepo).catch((error) => {
    if (!looksLocal || !(error instanceof Deno.errors.NotCapable)) return undefined; // owner/name is of the hub
    throw new Error(
      `Cannot open ${pathOrRepo}: Deno may not read it; run with --allow-read=${pathOrRepo}`,
      { cause: error },
    );
  });
  if (stat?.isFile) throw await notFolder(pathOrRepo);
  if (looksLocal && !stat) throw await nothingThere(pathOrRepo);
  return stat?.isDirectory ?? false;
}

/** The end of an error about a name that the hub does not have: what was perhaps meant. */
async function perhaps(repo: string): Promise<string> {
  const near = await nearestHere(repo);
  return near ? `; or did you mean ${near}` : "";
}

async function openFolder(folder: string, options: ResolveOptions): Promise<ResolvedRepo> {
  const names = await listFolder(folder);
  const { files, missing } = await survey(folder, names, options, (name) => isFile(join(folder, name)));
  if (missing.length === 0) return { folder, files };
  throw new Error(
    `Cannot open ${folder}: expected ${missing.join(", ")}, got ${enumerate(beside(missing[0]!, names))}`,
  );
}

/** Files in the folder of a missing one; all files where that is missing too. */
function beside(missing: string, names: readonly string[]): string[] {
  const folder = dirname(missing) === "." ? "" : `${dirname(missing)}/`;
  const there = names.filter((name) => name.startsWith(folder)).map((name) => name.slice(folder.length));
  if (there.length === 0) return [...names];
  return [...new Set(there.map((name) => folder + name.replace(/\/.*/, "/")))];
}

/** True where a text can be the name of a repository, owner/name. */
function isRepo(repo: string): boolean {
  const part = "[A-Za-z0-9_](?:[\\w.-]{0,94}[\\w])?";
  return new RegExp(`^${part}/${part}$`).test(repo) && !/--|\.\.|\.git$/.test(repo);
}

/** Looks for the needed files in the cache; undefined where it has never seen the revision. */
async function searchCache(cache: RepoCache, revision: string, options: ResolveOptions) {
  const commit = await cache.commitOf(revision);
  if (!commit) return undefined;
  const tree = await cache.readTree(commit);
  const names = tree ? [...tree.keys()] : await cache.present(commit); // Python wrote no trees before 2026
  if (names.length === 0) return undefined;
  const folder = cache.snapshot(commit);
  const has = (name: string) => cache.has(commit, name, tree?.get(name)?.size);
  try {
    const { files, missing } = await survey(folder, names, options, has);
    return { found: { folder, commit, files }, missing };
  } catch (refusal) { // the names are few where no tree was written, and the hub may have others
    return { found: { folder, commit, files: [] }, missing: [], refusal: refusal as Error };
  }
}

async function askHub(hub: HubRepo, cache: RepoCache, revision: string, how: { patient: boolean }) {
  const kept = isCommit(revision) ? await cache.readTree(revision) : undefined;
  if (kept) return { commit: revision, listing: kept };
  const answer = await hub.list(revision, how);
  await cache.writeTree(answer.commit, answer.listing).catch(() => {}); // it may be read-only
  return answer;
}

/** Source and target of files. */
interface Fetch {
  hub: HubRepo;
  cache: RepoCache;
  commit: string;
  listing: Listing;
}

/** Fetches missing files one after another: one fills most connections, and a bar can follow it. */
async function fetchFiles(
  from: Fetch,
  { files: choose, withoutShards, onProgress }: ResolveOptions,
): Promise<ResolvedRepo> {
  const { cache, commit, listing } = from;
  const folder = cache.snapshot(commit);
  const files = choose([...listing.keys()]);
  for (const name of files) await fetchFile(from, name, onProgress);
  const shards = withoutShards ? [] : await shardsOf(folder, files);
  for (const name of shards) await fetchFile(from, name, onProgress);
  return { folder, commit, files: [...files, ...shards] };
}

async function fetchFile(from: Fetch, file: string, onProgress: ResolveOptions["onProgress"]): Promise<void> {
  const { hub, cache, commit, listing } = from;
  const listed = listing.get(file);
  if (!listed) {
    const known = nearest(file, listing.keys()) ?? "nothing";
    throw new Error(
      `Cannot download ${file} of ${hub.name}: no such file at this revision; nearest is ${known}`,
    );
  }
  if (await cache.has(commit, file, listed.size)) return;

  const { size, sha256, blobId } = listed.sha256 || listed.blobId ? listed : await hub.describe(commit, file);
  const etag = sha256 ?? blobId;
  if (!etag || !isEtag(etag)) {
    throw new Error(
      `Cannot download ${file} of ${hub.name}: expected an etag, got ${etag}; check HF_ENDPOINT`,
    );
  }
  const onBytes = (loaded: number) => onProgress?.({ file, loaded, total: size, done: false });
  await hub.download({ commit, file, size, etag, blob: cache.blob(etag), onBytes });
  await cache.link(commit, file, etag);
  onProgress?.({ file, loaded: size ?? 0, total: size, done: true });
}

/** The files chosen among `names` and the shards of an index, and which of them are missing. */
async function survey(
  folder: string,
  names: string[],
  { files: choose, withoutShards }: ResolveOptions,
  has: (name: string) => Promise<boolean>,
) {
  const chosen = choose(names);
  const indices = [];
  for (const name of chosen) if (!withoutShards && isIndex(name) && await has(name)) indices.push(name);
  const files = [...chosen, ...await shardsOf(folder, indices)];
  const missing = [];
  for (const name of files) if (!await has(name)) missing.push(name);
  return { files, missing };
}

/** The first eight names, for a message. */
function enumerate(names: string[]): string {
  const shown = names.slice(0, 8).join(", ") || "nothing";
  return names.length > 8 ? `${shown} and ${names.length - 8} more` : shown;
}
