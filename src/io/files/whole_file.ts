import { basename, dirname, join } from "node:path";

const PROBE = 2 ** 16; // bytes, about as many as a small picture has

/** Writes a file whole or not at all: under a temporary name, synced to the disk, then renamed. */
export async function writeWholeFile(path: string, content: Uint8Array | string): Promise<void> {
  const temporary = temporaryFor(path);
  try {
    await writeAndSync(temporary, typeof content === "string" ? new TextEncoder().encode(content) : content);
    await Deno.rename(temporary, path);
  } catch (cause) {
    await Deno.remove(temporary).catch(() => {}); // it may not exist: the first error counts
    throw new Error(`Cannot write ${path}: ${reason(cause, dirname(path))}`, { cause });
  }
}

function temporaryFor(path: string): string {
  return join(dirname(path), `.${basename(path)}.${crypto.randomUUID().slice(0, 8)}.tmp`);
}

/**
 * Refuses a path where no file can be written, before work is done for it: writes a small file beside it, and
 * removes it. Errors begin with `action`, e.g. "take --out a.png".
 */
export function expectWritable(path: string, action = `write ${path}`): void {
  const folder = dirname(path);
  const found = [folder, path].map(whatIsAt);
  if (found[0] !== "a folder" && found[0] !== "hidden") {
    const advice = found[0] === "none" ? "create it first" : "name another";
    throw new Error(`Cannot ${action}: expected a folder ${folder}, got ${found[0]}; ${advice}`);
  }
  if (found[1] === "a folder") {
    throw new Error(`Cannot ${action}: expected a file, got a folder; name a file in it`);
  }
  const temporary = temporaryFor(path);
  try {
    const file = Deno.openSync(temporary, { write: true, createNew: true });
    try {
      try {
        for (let left = PROBE; left > 0;) left -= file.writeSync(new Uint8Array(left)); // a full disk takes empty files still
      } finally {
        file.close();
      }
      Deno.renameSync(temporary, temporary); // which Deno lets only those do who may read, too
    } finally {
      Deno.removeSync(temporary);
    }
  } catch (cause) {
    throw new Error(`Cannot ${action}: ${reason(cause, folder)}`, { cause });
  }
}

function whatIsAt(path: string): "a file" | "a folder" | "none" | "hidden" {
  try {
    return Deno.statSync(path).isDirectory ? "a folder" : "a file";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return "none";
    return "hidden"; // Deno or the system does not let us look
  }
}

async function writeAndSync(path: string, bytes: Uint8Array): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true });
  for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
  await file.sync();
}

function reason(cause: unknown, folder: string): string {
  const code = (cause as { code?: string }).code;
  if (cause instanceof Deno.errors.NotFound) {
    return whatIsAt(folder) === "none"
      ? `expected a folder ${folder}, got none; create it first`
      : `no file can be made in ${folder}; choose another folder`;
  }
  if (cause instanceof Deno.errors.NotCapable) {
    return `Deno may not; run with --allow-read and --allow-write of ${folder}`;
  }
  if (cause instanceof Deno.errors.PermissionDenied) {
    return `permission denied; check who may write in ${folder}`;
  }
  if (cause instanceof Deno.errors.IsADirectory) return "expected a file, got a folder; name a file in it";
  if (code === "EROFS") return `what is in ${folder} can only be read; choose another folder`;
  if (code === "ENOSPC" || code === "EDQUOT") return "the disk is full; free some space";
  return cause instanceof Error ? cause.message.split("\n")[0]! : String(cause);
}
