import { basename, dirname, join } from "node:path";

/** Writes a file that is there wholly or not at all: beside its place, to the disk, then renamed. */
export async function writeWholeFile(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${crypto.randomUUID().slice(0, 8)}.tmp`);
  try {
    await writeAndSync(temporary, bytes);
    await Deno.rename(temporary, path);
  } catch (cause) {
    await Deno.remove(temporary).catch(() => {}); // it may not exist: the first error counts
    throw new Error(`Cannot write ${path}: ${reason(cause, dirname(path))}`, { cause });
  }
}

/** Refuses a path where no file can be written, before work is done for it; says nothing where Deno may not look. */
export async function expectWritable(path: string): Promise<void> {
  try {
    if (!(await Deno.stat(dirname(path))).isDirectory) throw new Deno.errors.NotFound();
    const there = await Deno.stat(path).catch(() => undefined);
    if (there?.isDirectory) throw new Deno.errors.IsADirectory();
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) return;
    throw new Error(`Cannot write ${path}: ${reason(cause, dirname(path))}`, { cause });
  }
}

async function writeAndSync(path: string, bytes: Uint8Array): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true });
  for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
  await file.sync();
}

function reason(cause: unknown, folder: string): string {
  const code = (cause as { code?: string }).code;
  if (cause instanceof Deno.errors.NotFound) return `no folder ${folder}; create it first`;
  if (cause instanceof Deno.errors.NotCapable) return "Deno may not write it; run with --allow-write";
  if (cause instanceof Deno.errors.PermissionDenied) {
    return `permission denied; check who may write in ${folder}`;
  }
  if (cause instanceof Deno.errors.IsADirectory) return "expected a file, got a folder; choose another name";
  if (code === "ENOSPC" || code === "EDQUOT") return "the disk is full; free some space";
  return cause instanceof Error ? cause.message.split("\n")[0]! : String(cause);
}
