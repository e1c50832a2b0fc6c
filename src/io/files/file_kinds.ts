import { decodeLatin1 } from "./latin1.ts";
import { damaged, quote } from "./errors.ts";

/** The kind of a file, whatever its name. */
export interface FileKind {
  /** With its article, e.g. "a PNG". */
  readonly kind: string;
  readonly isPicture?: boolean;
  /** The file is text. */
  readonly isText?: boolean;
  /** Advice, whatever kind was expected. */
  readonly advice?: string;
}

/** The first bytes of a kind of file in Latin-1; a dot stands for any byte. */
type Start = readonly [start: string, kind: string];

const pictures: readonly Start[] = [
  ["\x89PNG\r\n\x1a\n", "a PNG"],
  ["\xff\xd8\xff", "a JPEG"],
  ["RIFF....WEBP", "a WebP"],
  ["GIF8", "a GIF"],
  ["BM", "a BMP"],
  ["II*\0", "a TIFF"],
  ["MM\0*", "a TIFF"],
  ["....ftypavi", "an AVIF"],
  ["....ftyphei", "a HEIC"],
  ["....ftypmif1", "a HEIC"],
  ["\xff\x0a", "a JPEG XL"],
  ["\0\0\0\x0cJXL ", "a JPEG XL"],
  ["\0\0\x01\0", "an icon"],
];

const archives: readonly Start[] = [
  ["\x1f\x8b", "a gzip archive"],
  ["BZh", "a bzip2 archive"],
  ["\xfd7zXZ\0", "an xz archive"],
  ["(\xb5/\xfd", "a zstd archive"],
  ["7z\xbc\xaf\x27\x1c", "a 7z archive"],
  ["Rar!\x1a\x07", "a RAR archive"],
];

const others: readonly Start[] = [
  ["%PDF", "a PDF"],
  ["PK\x03\x04", "a zip file"],
  ["PK\x05\x06", "an empty zip file"],
  ["GGUF", "a GGUF file"],
  ["lmgg", "a GGML file, from before GGUF"],
  ["fmgg", "a GGML file, from before GGUF"],
  ["tjgg", "a GGML file, from before GGUF"],
  ["\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes them"],
  ["\x93NUMPY", "a NumPy array"],
  ["\x7fELF", "a program"],
  ["MZ.\0", "a program"],
  ["MZ..\0\0", "a program"],
  ["....ftyp", "a video"],
];

/** Bytes that `kindOf` needs of a file. */
export const HEAD = 512;

const AGAIN = "download it again";

/** The kind of a file by its first bytes; undefined for unknown kinds. */
export function kindOf(head: Uint8Array): FileKind | undefined {
  const of = (starts: readonly Start[]) => starts.find(([start]) => begins(head, start))?.[1];
  if (head.length === 0) return { kind: "an empty file", advice: AGAIN };
  const text = decodeLatin1(head).replace(/^\xef\xbb\xbf/, "").trimStart();
  if (text.startsWith("version https://git-lfs")) {
    return { kind: "a pointer of Git LFS", advice: "run git lfs pull, or download the file itself" };
  }
  const markup = markupOf(text);
  if (markup) return markup;
  const picture = of(pictures);
  if (picture) return { kind: picture, isPicture: true };
  const archive = decodeLatin1(head.subarray(257, 262)) === "ustar" ? "a tar archive" : of(archives);
  if (archive) return { kind: archive, advice: "unpack it first" };
  if (isSafetensors(head)) return { kind: "a safetensors file" };
  const other = of(others);
  if (other) return { kind: other };
  if (/^(\{\s*["}]|\[\s*["[{\]\d-])/.test(text)) return { kind: "a JSON file" };
  if (head.length > 16 && head.every((byte) => byte === 0)) {
    return { kind: "zeros", advice: `its download was not finished: ${AGAIN}` };
  }
  if (isPickle(head)) return { kind: "a pickle of Python" };
  if (text === "") return { kind: "an empty text", advice: AGAIN };
  const line = textLine(head);
  return line === undefined ? undefined : { kind: `a text that begins ${quote(line)}`, isText: true };
}

/** HTML, SVG and other XML. */
function markupOf(text: string): FileKind | undefined {
  if (!/^<[a-z!?]/i.test(text)) return undefined;
  if (
    /^(<\?xml[^>]*>\s*)?<(!doctype html|html|head|body|title|meta|script|style|div|p|h1|!--)\b/i.test(text)
  ) {
    return { kind: "a page of HTML" };
  }
  if (/^(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!doctype svg[^>]*>\s*)?<svg\b/is.test(text)) {
    return { kind: "an SVG", isPicture: true };
  }
  return text.startsWith("<?xml") ? { kind: "an XML document, as servers answer errors" } : undefined;
}

/**
 * True for Python's pickles since protocol 2, whose first operation opens a frame, a list, a dictionary, a
 * tuple or a name, but not for those of torch, which begin with torch's magic number.
 */
function isPickle(head: Uint8Array): boolean {
  const [mark, protocol] = head;
  const isOne = mark === 0x80 && protocol! >= 2 && protocol! <= 5 &&
    "\x95]})(c\x8a\x8c".includes(decodeLatin1(head.subarray(2, 3)));
  return isOne && !decodeLatin1(head.subarray(0, 64)).includes("l\xfc\x9cF\xf9 j\xa8P\x19");
}

/** The first line of a text; undefined where the bytes are no text. */
function textLine(head: Uint8Array): string | undefined {
  const ascii = decodeLatin1(head).replaceAll(/[\xc2-\xf4][\x80-\xbf]*/g, "x"); // UTF-8, at the end perhaps cut
  if (head.length < 4 || /[^\t\n\r\x20-\x7e]/.test(ascii)) return undefined;
  return new TextDecoder().decode(head).trimStart().split("\n")[0]!.slice(0, 40).trimEnd();
}

/** True for eight bytes of length, less than 2^32, then JSON. */
function isSafetensors(head: Uint8Array): boolean {
  return head[8] === 0x7b && head.subarray(4, 8).every((byte) => byte === 0) &&
    head.subarray(0, 4).some(Boolean);
}

/** The error for a file of another kind than expected; `advice` is for kinds that have none. */
export function otherFile(head: Uint8Array, path: string, expected: string, advice: string): Error {
  const found = kindOf(head);
  if (found) {
    return new TypeError(
      `Cannot load ${path}: expected ${expected}, got ${found.kind}; ${found.advice ?? advice}`,
    );
  }
  return damaged(path, expected, `a file that begins ${quote(decodeLatin1(head.subarray(0, 12)))}`);
}

function begins(head: Uint8Array, start: string): boolean {
  return [...start].every((letter, i) => letter === "." || letter.charCodeAt(0) === head[i]);
}
