import { damaged, quote } from "../refusal.ts";

/** Pixels of four bytes. */
interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray;
}

/** Opens a module of emscripten, of whose settings only these are used. */
type OpenCodec = (
  settings: { noInitialRun: true; print: () => void; printErr: (line: string) => void },
) => Promise<{ decode: (bytes: Uint8Array, ...rest: unknown[]) => Pixels | null }>;

/** A decoder, and what it takes beside the bytes. */
interface Codec {
  readonly load: () => Promise<unknown>;
  readonly rest: readonly unknown[];
}

/** Decoders of the Squoosh project in WebAssembly, where a hostile file reaches nothing but their own memory. */
const codecs = {
  "a JPEG": { load: () => import("@jsquash/jpeg/codec/dec/mozjpeg_dec.js"), rest: [false] }, // not turned
  "a WebP": { load: () => import("@jsquash/webp/codec/dec/webp_dec.js"), rest: [] },
} satisfies Record<string, Codec>;

/**
 * Decodes a file that is whole, as its reader has found. A decoder serves one picture: its memory grows with
 * that, and does not shrink.
 */
export async function decodeWith(
  kind: keyof typeof codecs,
  bytes: Uint8Array,
  path: string,
): Promise<Pixels> {
  const told: string[] = [];
  const { load, rest }: Codec = codecs[kind];
  const { default: open } = await load() as { default: OpenCodec };
  const codec = await open({ noInitialRun: true, print: () => {}, printErr: (line) => told.push(line) })
    .catch((cause) => Promise.reject(missing(kind, path, cause)));
  try {
    const pixels = codec.decode(bytes, ...rest);
    if (pixels) return pixels;
  } catch (error) {
    if (error instanceof Error) told.push(error.message); // else it ended by itself, and has told why
  }
  throw damaged(path, `${kind} that can be decoded`, quote(told.at(-1) ?? "pixels that make no sense"));
}

function missing(kind: string, path: string, cause: unknown): unknown {
  if (!(cause instanceof Deno.errors.NotCapable)) return cause;
  return new Error(
    `Cannot load ${path}: Deno may not read the decoder of ${kind}; run with --allow-read=node_modules too`,
    { cause },
  );
}
