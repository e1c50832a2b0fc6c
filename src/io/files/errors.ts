/** A value from a file for a message: JSON on one line, shortened. */
export function quote(value: unknown): string {
  const text = typeof value === "bigint" ? `${value}` : JSON.stringify(value) ?? "nothing";
  const line = text.replace(/[\u007f-\u009f\u2028\u2029]/g, "?"); // JSON leaves these line ends as they are
  return line.length > 80 ? `${line.slice(0, 79)}…` : line;
}

/** The error for a file that does not follow its format. */
export function damaged(path: string, expected: string, got: string): SyntaxError {
  return new SyntaxError(
    `Cannot load ${path}: expected ${expected}, got ${got}; the file is damaged or incomplete, download it again`,
  );
}

/** The error for a file that cannot be opened or read. */
export function unreadable(path: string, cause: unknown): Error {
  return new Error(`Cannot load ${path}: ${reason(cause)}`, { cause });
}

function reason(cause: unknown): string {
  if (cause instanceof Deno.errors.NotFound) return "no such file; check the path";
  if (cause instanceof Deno.errors.NotCapable) return "Deno may not read it; run with --allow-read";
  if (cause instanceof Deno.errors.PermissionDenied) return "permission denied; check who may read it";
  if (cause instanceof Deno.errors.IsADirectory) return "expected a file, got a folder; name a file in it";
  return cause instanceof Error ? cause.message.split("\n")[0]! : String(cause);
}
