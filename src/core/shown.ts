/** Standard error, to which bars and the like are written. */

interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
  on?(event: "error", listener: () => void): unknown;
}

/** Standard error of Node and Deno; a browser has none. */
const stderr: Terminal | undefined = (globalThis as { process?: { stderr?: Terminal } }).process?.stderr;

let listening = false;

/**
 * Writes to standard error. Where its reader is gone, or the disk of its file is full, the text is dropped: an unheard
 * "error" ends the program.
 */
export function writeShown(text: string): void {
  if (!listening) stderr?.on?.("error", () => {});
  listening = true;
  ignoringErrors(() => stderr?.write(text));
}

/** Writes a line to standard error. A bar that stands there makes room for it, and is drawn anew below when it changes. */
export function writeLine(line: string): void {
  writeShown(`${isTerminal() ? "\r\x1b[2K" : ""}${line}\n`);
}

/** Runs work that only shows something, and drops its errors. */
export function ignoringErrors(show: () => unknown): void {
  try {
    show();
  } catch {
    // lost, as where nobody reads it
  }
}

/** True if standard error is a terminal, in which a line can be written anew. */
export function isTerminal(): boolean {
  return !!stderr?.isTTY;
}

/** Letters in a line of the terminal. */
export function columns(): number {
  return stderr?.columns || 80; // some say 0
}

/** The function with which consoles write a value; they pass it to an object's own method of showing itself. */
export type Inspect = (value: unknown, options: object) => string;
