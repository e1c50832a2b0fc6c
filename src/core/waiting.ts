import { columns, isTerminal, writeShown } from "./shown.ts";

const REDRAW_MS = 500; // a terminal is redrawn so often
const LINE_REDRAWS = 20; // a log gets a line every so many redraws

/** Options of `waiting`: the place where it writes. */
export interface WaitingOptions {
  /** Takes the lines; by default standard error, redrawn in a terminal; false shows nothing. */
  write?: ((text: string) => void) | false | undefined;
}

/**
 * Waits for work whose progress is not known, and shows its name and the seconds so far: twice a second in a
 * terminal, a line now and then elsewhere. Short work shows nothing. `words` may change meanwhile.
 *
 * @example
 * ```ts ignore
 * await waiting("decoding", savePng("flower.png", vae.decode(latents).sample));
 * ```
 */
export async function waiting<T>(
  words: string | (() => string),
  work: Promise<T>,
  { write }: WaitingOptions = {},
): Promise<T> {
  if (write === false) return await work;
  const put = write ?? writeShown;
  const terminal = write === undefined && isTerminal();
  const start = performance.now();
  let redraws = 0;
  const timer = setInterval(() => {
    const text = typeof words === "string" ? words : words();
    const line = `${text}, ${Math.round((performance.now() - start) / 1000)} s`;
    if (terminal) put(`\r\x1b[2K${line.slice(0, columns() - 1)}`);
    else if (redraws % LINE_REDRAWS === 1) put(`${line}\n`); // after a second first
    redraws++;
  }, REDRAW_MS);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    if (terminal && redraws > 0) put("\n");
  }
}
