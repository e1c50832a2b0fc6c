import { Buffer } from "node:buffer";

/** Latin-1: U+0000 to U+00FF, one byte each. TextDecoder's "latin1" is windows-1252, which differs. */

/** The letters of bytes. */
export function decodeLatin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

/** The bytes of a text; the caller knows that it fits. */
export function encodeLatin1(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}
