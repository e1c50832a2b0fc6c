import { BinaryFile } from "../files/binary_file.ts";
import { HEAD, kindOf, otherFile } from "../files/file_kinds.ts";

/** Bytes that the file of a picture may have. */
export const maxFile = 2 ** 30;

/** The bytes of a picture's file, once its first ones have been checked. */
export async function readPicture(
  path: string,
  check: (head: Uint8Array, path: string) => void,
): Promise<Uint8Array> {
  using file = await BinaryFile.open(path);
  check(await file.read(0, Math.min(file.size, HEAD)), path);
  if (file.size > maxFile) throw tooLarge(path, `${file.size}`);
  return await file.read(0, file.size);
}

/** The error for a file of more bytes than a picture may have. */
export function tooLarge(path: string, got: string): Error {
  return new RangeError(
    `Cannot load ${path}: expected a picture of at most ${maxFile} bytes, got ${got}; make it smaller`,
  );
}

/** The error for a file that is not the picture that is expected. */
export function notPicture(bytes: Uint8Array, path: string, expected: string): Error {
  const head = bytes.subarray(0, HEAD);
  return otherFile(head, path, expected, kindOf(head)?.isPicture ? "convert it to PNG" : "name a picture");
}
