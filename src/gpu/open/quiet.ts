/** Hides what native code writes to standard error and no user can act on. */

/** Dawn's warning about a limit of software adapters that Denoise never reaches. */
const KNOWN = /^Warning: maxDynamic\w+BuffersPerPipelineLayout artificially reduced from /;

const SYMBOLS = {
  dup: { parameters: ["i32"], result: "i32" },
  dup2: { parameters: ["i32", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
} as const;

const LIBC = "libc.so.6";
const STDERR = 2;
const PIECE = 4096; // bytes

/**
 * Runs work in which Dawn writes two known warnings, and drops these; anything else that is written meanwhile
 * follows. Dawn has no switch for its log, so descriptor 2 leads into memory meanwhile. On Linux only, where
 * software adapters are.
 */
export function withoutKnownWarnings<T>(work: () => T): T {
  const mayLoad = () => Deno.permissions.querySync({ name: "ffi", path: LIBC }).state === "granted";
  if (Deno.build.os !== "linux" || !mayLoad()) return work();
  const library = Deno.dlopen(LIBC, SYMBOLS);
  const libc = library.symbols;
  const name = new TextEncoder().encode("denoise\0");
  const [before, memory] = [libc.dup(STDERR), libc.memfd_create(name, 0)];
  const close = () => {
    for (const descriptor of [before, memory]) libc.close(descriptor);
    library.close();
  };
  if (before < 0 || memory < 0) { // standard error is closed, so nothing shows
    close();
    return work();
  }
  libc.dup2(memory, STDERR);
  try {
    return work();
  } finally {
    libc.dup2(before, STDERR);
    libc.lseek(memory, 0n, 0);
    const decoder = new TextDecoder();
    const piece = new Uint8Array(PIECE);
    let text = "";
    for (let n; (n = Number(libc.read(memory, piece, BigInt(PIECE)))) > 0;) {
      text += decoder.decode(piece.subarray(0, n), { stream: true });
    }
    close();
    const lines = text.split("\n").filter((line) => line !== "" && !KNOWN.test(line));
    if (lines.length > 0) console.error(lines.join("\n"));
  }
}
