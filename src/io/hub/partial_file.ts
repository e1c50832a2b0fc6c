import { basename, dirname, join } from "node:path";
import { isFile } from "./cache.ts";

/**
 * A file that is being downloaded, `blobs/<etag>.<random>.partial`.
 *
 * Several processes may fetch one blob. Each holds the system's lock on its partial file. A lock ends with
 * its process, even a killed one, so a file that can be locked is a leftover and is taken over where it ends.
 * Some network disks grant every lock, so that two processes may share a file. That does no harm: each writes
 * the same bytes to the same place, a fresh start takes a fresh file, and the checksum is that of the bytes
 * on the disk.
 */
export class PartialFile implements Disposable {
  readonly #blob: string;
  #path: string;
  #file: Deno.FsFile;
  /** Bytes so far. */
  size: number;

  private constructor(blob: string, path: string, file: Deno.FsFile, size: number) {
    this.#blob = blob;
    this.#path = path;
    this.#file = file;
    this.size = size;
  }

  /** Takes over a leftover or starts a file. While another process is busy, tells how many bytes it has. */
  static async claim(blob: string, { evenIfBusy = false } = {}): Promise<PartialFile | { busy: number }> {
    let busy: number | undefined;
    await Deno.mkdir(dirname(blob), { recursive: true });
    for await (const { name } of Deno.readDir(dirname(blob))) {
      if (!name.startsWith(`${basename(blob)}.`) || !name.endsWith(".partial")) continue;
      const path = join(dirname(blob), name);
      const leftover = await PartialFile.#takeOver(blob, path);
      if (leftover instanceof PartialFile) return leftover;
      if (leftover) busy = Math.max(busy ?? 0, leftover.busy);
    }
    if (busy !== undefined && !evenIfBusy) return { busy };
    const path = freshName(blob);
    return new PartialFile(blob, path, await create(path), 0);
  }

  static async #takeOver(blob: string, path: string): Promise<PartialFile | { busy: number } | undefined> {
    let file: Deno.FsFile | undefined;
    try {
      file = await Deno.open(path, { read: true, write: true });
      const locked = await file.tryLock(true);
      const { size } = await Deno.stat(path); // throws where its owner has just given it its final name
      if (locked) {
        await file.seek(0, Deno.SeekMode.End);
        return new PartialFile(blob, path, file, size);
      }
      file.close();
      return { busy: size };
    } catch (error) {
      file?.close();
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  /** Writes at the end of the file. */
  async append(bytes: Uint8Array): Promise<void> {
    for (let written = 0; written < bytes.length;) {
      written += await this.#file.write(bytes.subarray(written));
    }
    this.size += bytes.length;
  }

  /** Starts again with a fresh file. */
  async restart(): Promise<void> {
    await this.discard();
    this.#file.close();
    this.#path = freshName(this.#blob);
    this.#file = await create(this.#path);
    this.size = 0;
  }

  /** Reads the file from the disk. */
  async *bytes(): AsyncGenerator<Uint8Array> {
    await this.#file.seek(0, Deno.SeekMode.Start);
    const buffer = new Uint8Array(1 << 20);
    for (let n; (n = await this.#file.read(buffer)) !== null;) yield buffer.subarray(0, n);
  }

  /** Syncs the file to the disk and gives it its final name. */
  async publish(): Promise<void> {
    await this.#file.sync();
    try {
      await Deno.rename(this.#path, this.#blob);
    } catch (error) { // another process may have been first
      if (!(error instanceof Deno.errors.NotFound && await isFile(this.#blob, this.size))) throw error;
    }
  }

  /** Removes the file. */
  async discard(): Promise<void> {
    await Deno.remove(this.#path).catch(() => {}); // another process may have removed it
  }

  /** Leaves the file for a later run to take over. */
  [Symbol.dispose](): void {
    this.#file.close();
  }
}

function freshName(blob: string): string {
  return `${blob}.${crypto.randomUUID().slice(0, 8)}.partial`;
}

async function create(path: string): Promise<Deno.FsFile> {
  const file = await Deno.open(path, { read: true, write: true, createNew: true });
  await file.tryLock(true);
  return file;
}
