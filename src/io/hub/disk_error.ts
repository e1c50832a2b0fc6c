/** An error of one line for what the disk refused, with what helps; other errors are returned as they are. */
export function diskError(error: unknown, path: string): unknown {
  if (error instanceof Deno.errors.NotCapable) {
    const advice = "run with --allow-read and --allow-write of this folder";
    return new Error(`Cannot use ${path}: Deno may not; ${advice} ${elsewhere}`, { cause: error });
  }
  const code = (error as { code?: unknown } | null)?.code;
  const reason = typeof code === "string" ? reasons[code] : undefined;
  return reason ? new Error(`Cannot write ${path}: ${reason}`, { cause: error }) : error;
}

/** The same for reading. */
export function readError(error: unknown, path: string): unknown {
  if (!(error instanceof Deno.errors.PermissionDenied)) return diskError(error, path);
  return new Error(`Cannot read ${path}: permission denied; change its rights or name another folder`, {
    cause: error,
  });
}

const elsewhere = "or set HF_HUB_CACHE to another folder";
const denied = `expected a folder that may be written, got permission denied; change its rights ${elsewhere}`;

const reasons: Record<string, string> = {
  ENOSPC: `the disk is full; free some space ${elsewhere}`,
  EDQUOT: `the disk quota is used up; free some space ${elsewhere}`,
  EFBIG: `the file system holds no file of this size; set HF_HUB_CACHE to another folder`,
  EROFS: `the disk is read-only; set HF_HUB_CACHE to a folder that may be written`,
  EACCES: denied,
  EPERM: denied,
  ENOTDIR: `expected a folder above it, got a file; move the file ${elsewhere}`,
  EISDIR: "expected a file, got a folder; remove the folder",
  ENOTEMPTY: "expected a file, got a folder; remove the folder",
  EEXIST: "something else stands there; remove it",
  ENAMETOOLONG: "the path is too long; set HF_HUB_CACHE to a shorter one",
};
