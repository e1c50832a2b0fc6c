import { damaged, quote } from "../files/errors.ts";
import type { Image } from "./image.ts";

/** Pixels of four bytes. */
interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray | Uint8Array;
}

/** Opens a module of emscripten; only these of its settings are used. */
type OpenCodec = (
  settings: { noInitialRun: true; print: () => void; printErr: (line: string) => void },
) => Promise<{ decode: (bytes: Uint8Array, ...rest: unknown[]) => Pixels | null }>;

/** A decoder, and its arguments behind the bytes. */
interface Codec {
  readonly load: () => Promise<unknown>;
  /** Its module by a name that bundlers do not follow: they would copy the text without the WebAssembly. */
  readonly name: string;
  readonly rest: readonly unknown[];
}

/** Decoders of the Squoosh project in WebAssembly: a hostile file reaches only their own memory. */
const codecs = {
  "a JPEG": {
    load: () => import("@jsquash/jpeg/codec/dec/mozjpeg_dec.js"),
    name: "npm:@jsquash/jpeg@1.6.0/codec/dec/mozjpeg_dec.js",
    rest: [false], // not turned
  },
  "a WebP": {
    load: () => import("@jsquash/webp/codec/dec/webp_dec.js"),
    name: "npm:@jsquash/webp@1.5.0/codec/dec/webp_dec.js",
    rest: [],
  },
} satisfies Record<string, Codec>;

/** Decodes a file whose structure is checked. Each gets a decoder, as the memory of one does not shrink. */
export async function decodeWith(
  kind: keyof typeof codecs,
  bytes: Uint8Array,
  path: string,
): Promise<Image> {
  const printed: string[] = [];
  const { load, name, rest }: Codec = codecs[kind];
  const open = async (module: unknown) =>
    await (module as { default: OpenCodec }).default({
      noInitialRun: true,
      print: () => {},
      printErr: (line) => printed.push(line),
    });
  const codec = await load().then(open)
    .catch((cause) =>
      cause instanceof Deno.errors.NotCapable ? Promise.reject(cause) : import(name).then(open)
    )
    .catch((cause) => Promise.reject(missing(kind, path, cause)));
  try {
    const pixels = codec.decode(bytes, ...rest);
    if (pixels) return imageOf(pixels);
  } catch (error) {
    if (error instanceof Error) printed.push(error.message); // else it ended by itself, and has printed why
  }
  throw damaged(path, `${kind} that can be decoded`, quote(printed.at(-1) ?? "pixels that make no sense"));
}

/** Pixels of four bytes as a picture, without a copy. */
export function imageOf({ width, height, data }: Pixels): Image {
  return { width, height, channels: 4, data: new Uint8Array(data.buffer, data.byteOffset, data.length) };
}

function missing(kind: string, path: string, cause: unknown): Error {
  const reason = cause instanceof Deno.errors.NotCapable
    ? "Deno may not read it; run with --allow-read=node_modules too"
    : cause instanceof Error
    ? cause.message.split("\n")[0]
    : String(cause);
  return new Error(`Cannot load ${path}: the decoder for ${kind} is not there: ${reason}`, { cause });
}
