import { currentDevice } from "../gpu/device.ts";
import { streamOf } from "../graph/stream.ts";

/** Where a loop tells how far it is. */
export interface ProgressOptions {
  /** Words in front of the bar. */
  label?: string;
  /** Takes the bar's text; by default standard error, redrawn in a terminal, as plain lines elsewhere. */
  write?: ((text: string) => void) | false;
  /** Ends the loop with the signal's reason. */
  signal?: AbortSignal;
}

const TURN_MS = 50; // a terminal is redrawn at most this often
const LINE_MS = 5000; // a log gets a line at most this often

/**
 * Yields the items and shows a bar, as tqdm does. Each turn submits the step just recorded and waits for the one
 * before it, so the bar is true and the GPU is never idle.
 */
export async function* progress<T>(
  items: readonly T[],
  options: ProgressOptions = {},
): AsyncGenerator<T, void, void> {
  const { signal } = options;
  const bar = new Bar(items.length, options);
  const device = currentDevice();
  const stream = streamOf(device);
  let before = Promise.resolve();
  try {
    for (const item of items) {
      signal?.throwIfAborted();
      yield item;
      await stream.flush();
      await before;
      before = device.idle();
      before.catch(() => {}); // told by the next turn
      bar.advance();
    }
    await before;
  } finally {
    bar.end();
  }
}

/** A line that shows count, rate and time left. */
class Bar {
  readonly #total: number;
  readonly #label: string;
  readonly #write: (text: string) => void;
  readonly #terminal: boolean;
  readonly #start = performance.now();
  #done = 0;
  #drawn = 0;

  constructor(total: number, { label = "", write }: ProgressOptions) {
    this.#total = total;
    this.#label = label && `${label} `;
    this.#terminal = write === undefined && !!stderr?.isTTY;
    this.#write = write === false ? () => {} : write ?? ((text) => stderr?.write(text));
    this.#draw();
  }

  advance(): void {
    this.#done++;
    const since = performance.now() - this.#drawn;
    if (this.#done === this.#total || since > (this.#terminal ? TURN_MS : LINE_MS)) this.#draw();
  }

  end(): void {
    if (this.#terminal) this.#write("\n");
  }

  #draw(): void {
    this.#drawn = performance.now();
    const seconds = (this.#drawn - this.#start) / 1000;
    const rate = this.#done / seconds;
    const speed = this.#done === 0
      ? ""
      : rate >= 1
      ? `, ${rate.toFixed(2)} it/s`
      : `, ${(1 / rate).toFixed(2)} s/it`;
    const left = this.#done === 0 ? "?" : clock((this.#total - this.#done) / rate);
    const times = `${this.#done}/${this.#total} [${clock(seconds)}<${left}${speed}]`;
    const percent = `${Math.floor(100 * this.#done / Math.max(1, this.#total))}%`.padStart(4);
    if (!this.#terminal) return this.#write(`${this.#label}${percent} ${times}\n`);
    const width = Math.max(0, Math.min(30, (stderr?.columns ?? 80) - this.#label.length - times.length - 9));
    const filled = Math.round(width * this.#done / Math.max(1, this.#total));
    this.#write(
      `\r\x1b[2K${this.#label}${percent}|${"█".repeat(filled)}${" ".repeat(width - filled)}| ${times}`,
    );
  }
}

/** Seconds as mm:ss. */
function clock(seconds: number): string {
  const whole = Math.round(seconds);
  return `${String(Math.floor(whole / 60)).padStart(2, "0")}:${String(whole % 60).padStart(2, "0")}`;
}

interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Standard error of Node and Deno; a browser has none. */
const stderr: Terminal | undefined = (globalThis as { process?: { stderr?: Terminal } }).process?.stderr;
