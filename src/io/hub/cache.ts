/** One repository in the cache folder that Python's huggingface_hub also reads and writes. */
import { dirname, join, relative } from "node:path";
import { z } from "zod";
import { diskError, readError } from "./disk_error.ts";
import { isInside } from "../formats/shard_index.ts";

/** Size and checksums of a file. */
export interface HubFile {
  /** Bytes; undefined where a mirror does not tell. */
  size?: number | undefined;
  /** git's sha1 of the file; of a large file, of its LFS pointer. */
  blobId?: string | undefined;
  /** The checksum of the bytes; only large files have it. */
  sha256?: string | undefined;
}

/** A repository's files at one commit, by name. */
export type Listing = Map<string, HubFile>;

/** huggingface_hub's `trees/<commit>.json`. */
const Tree = z.object({
  format_version: z.literal(1),
  files: z.record(
    z.string(),
    z.object({
      size: z.number(),
      blob_id: z.string(),
      lfs_sha256: z.string().nullish(),
      lfs_size: z.number().nullish(),
    }),
  ),
});

/**
 * ```text
 * models--owner--name/refs/main                 the commit that main stood for when last asked
 *                     blobs/<etag>              the bytes
 *                     snapshots/<commit>/…      links to ../../blobs/<etag> under the files' own names
 *                     trees/<commit>.json       the listing, which never changes
 * ```
 */
export class RepoCache {
  /** The repository's own folder. */
  readonly folder: string;

  readonly #symlinks: boolean;

  /** For `repo` in the folder `cache`; creates nothing. With `symlinks` files are links to blobs, else copies. */
  constructor(cache: string, repo: string, { symlinks = true } = {}) {
    this.#symlinks = symlinks;
    this.folder = join(cache, `models--${repo.replace("/", "--")}`);
  }

  /** The folder that shows the files under their own names. */
  snapshot(commit: string): string {
    return join(this.folder, "snapshots", commit);
  }

  /** The path of the bytes with this etag. */
  blob(etag: string): string {
    return join(this.folder, "blobs", etag);
  }

  /** The commit that a revision stood for when the hub was last asked. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const text = await readIfThere(join(this.folder, "refs", revision));
    const commit = text?.trim();
    return commit && isCommit(commit) ? commit : undefined;
  }

  /** Remembers which commit a branch or tag stands for. */
  async setCommit(revision: string, commit: string): Promise<void> {
    if (await this.commitOf(revision) === commit) return;
    await replaceFile(join(this.folder, "refs", revision), (path) => Deno.writeTextFile(path, commit));
  }

  /** The full listing of a commit where it was kept, else undefined. */
  async readTree(commit: string): Promise<Listing | undefined> {
    const text = await readIfThere(this.#tree(commit));
    if (!text) return undefined;
    try {
      const { files } = Tree.parse(JSON.parse(text));
      return new Map(
        Object.entries(files).filter(([name]) => isInside(name)).map(([name, file]) =>
          [name, { size: file.size, blobId: file.blob_id, sha256: file.lfs_sha256 ?? undefined }] as const
        ),
      );
    } catch {
      return undefined; // damaged or from a newer huggingface_hub: the hub is asked instead
    }
  }

  /** Keeps the listing of a commit in huggingface_hub's form, where every file has its size and etag. */
  async writeTree(commit: string, listing: Listing): Promise<void> {
    const files: z.infer<typeof Tree>["files"] = {};
    for (const [name, { size, blobId, sha256 }] of listing) {
      if (size === undefined || blobId === undefined) return;
      files[name] = { size, blob_id: blobId, ...(sha256 && { lfs_sha256: sha256, lfs_size: size }) };
    }
    const text = JSON.stringify({ format_version: 1, files }, null, 1);
    await replaceFile(this.#tree(commit), (path) => Deno.writeTextFile(path, text));
  }

  /** The files of a commit that are in the cache, whole or not. */
  async present(commit: string): Promise<string[]> {
    return await listFolder(this.snapshot(commit));
  }

  /** True where the file is in the cache, of this size if it is known; a broken link counts as absent. */
  async has(commit: string, name: string, size?: number): Promise<boolean> {
    return await isFile(join(this.snapshot(commit), name), size);
  }

  /** Links the file's own name to its blob. */
  async link(commit: string, name: string, etag: string): Promise<void> {
    const blob = this.blob(etag);
    const pointer = join(this.snapshot(commit), name);
    await replaceFile(pointer, async (path) => {
      try {
        if (!this.#symlinks) return await Deno.copyFile(blob, path);
        await Deno.symlink(relative(dirname(pointer), blob), path);
      } catch {
        // Windows without developer mode, or Deno without unscoped permissions: no right to symbolic links.
        await Deno.link(blob, path).catch(() => Deno.copyFile(blob, path));
      }
    });
  }

  #tree(commit: string): string {
    return join(this.folder, "trees", `${commit}.json`);
  }
}

/** True for a whole commit hash, which always stands for the same files. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

/** True where an etag can name a file under blobs/. */
export function isEtag(etag: string): boolean {
  return /^[\w-]{8,128}$/.test(etag);
}

/** True for a file, of this size if one is given. A broken link is no file; a folder is an error. */
export async function isFile(path: string, size?: number): Promise<boolean> {
  try {
    const stat = await Deno.stat(path);
    if (stat.isDirectory) throw new Error(`Cannot use ${path}: expected a file, got a folder; remove it`);
    return size === undefined || stat.size === size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw readError(error, path);
  }
}

/** All files under a folder, as names relative to it with `/`; none where the folder is absent. */
export async function listFolder(folder: string, depth = 4): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(folder)) {
      if (!entry.isDirectory) names.push(entry.name);
      else if (depth > 1 && !entry.name.startsWith(".")) { // a repository is never nested deeper
        const inner = await listFolder(join(folder, entry.name), depth - 1);
        names.push(...inner.map((name) => `${entry.name}/${name}`));
      }
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw readError(error, folder);
  }
  return names.sort();
}

/** Makes a file under a temporary name and renames it, so that no other process sees half of it. */
async function replaceFile(path: string, make: (path: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.${crypto.randomUUID().slice(0, 8)}.tmp`;
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
    await make(temporary);
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {}); // it may not exist
    throw diskError(error, path);
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.IsADirectory) return undefined;
    throw readError(error, path);
  }
}
