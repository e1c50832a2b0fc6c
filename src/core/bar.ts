/** What a bar counts, and where it is drawn. */
export interface BarOptions {
  /** Words in front of the bar. */
  label?: string | undefined;
  /** Steps ("it", the default) or bytes ("B"). */
  unit?: "it" | "B" | undefined;
  /** Takes the bar's text; by default standard error, redrawn in a terminal, as plain lines elsewhere. */
  write?: ((text: string) => void) | false | undefined;
  /** Nothing is drawn before so many ms have passed, so that short work stays silent. */
  silentMs?: number | undefined;
}

const TURN_MS = 50; // a terminal is redrawn at most this often
const LINE_MS = 5000; // a log gets a line at most this often

/** A line that shows count, rate and time left, as tqdm's does. */
export class Bar {
  readonly #total: number;
  readonly #options: BarOptions;
  readonly #write: (text: string) => void;
  readonly #terminal: boolean;
  readonly #start = performance.now();
  #done = 0;
  #drawn = -Infinity;

  constructor(total: number, options: BarOptions = {}) {
    const { write, silentMs = 0 } = options;
    this.#total = total;
    this.#options = options;
    this.#terminal = write === undefined && !!stderr?.isTTY;
    this.#write = write === false ? () => {} : write ?? writeShown;
    if (silentMs === 0) this.#draw();
  }

  /** Shows that `done` of the total is done. */
  update(done: number): void {
    this.#done = done;
    const now = performance.now();
    if (now - this.#start < (this.#options.silentMs ?? 0)) return;
    const due = now - this.#drawn > (this.#terminal ? TURN_MS : LINE_MS);
    if (due || done === this.#total) this.#draw();
  }

  /** Leaves the line. */
  end(): void {
    if (this.#terminal && this.#drawn > -Infinity) this.#write("\n");
  }

  #draw(): void {
    this.#drawn = performance.now();
    const seconds = (this.#drawn - this.#start) / 1000;
    const rate = this.#done / seconds;
    const left = this.#done === 0 ? "?" : clock((this.#total - this.#done) / rate);
    const counts = `${this.#amount(this.#done)}/${this.#amount(this.#total)}`;
    const times = `${counts} [${clock(seconds)}<${left}${this.#done === 0 ? "" : `, ${this.#speed(rate)}`}]`;
    const label = this.#options.label ? `${this.#options.label} ` : "";
    const percent = `${Math.floor(100 * this.#done / Math.max(1, this.#total))}%`.padStart(4);
    if (!this.#terminal) return this.#write(`${label}${percent} ${times}\n`);
    const width = Math.max(0, Math.min(30, (stderr?.columns || 80) - label.length - times.length - 9));
    const filled = Math.round(width * this.#done / Math.max(1, this.#total));
    this.#write(`\r\x1b[2K${label}${percent}|${"█".repeat(filled)}${" ".repeat(width - filled)}| ${times}`);
  }

  #amount(n: number): string {
    return this.#options.unit === "B" ? megabytes(n) : String(n);
  }

  #speed(rate: number): string {
    if (this.#options.unit === "B") return `${megabytes(rate)}/s`;
    return rate >= 1 ? `${rate.toFixed(2)} it/s` : `${(1 / rate).toFixed(2)} s/it`;
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Seconds as mm:ss. */
function clock(seconds: number): string {
  const whole = Math.round(seconds);
  return `${String(Math.floor(whole / 60)).padStart(2, "0")}:${String(whole % 60).padStart(2, "0")}`;
}

interface Terminal {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
  on?(event: "error", listener: () => void): unknown;
}

/** Standard error of Node and Deno; a browser has none. */
const stderr: Terminal | undefined = (globalThis as { process?: { stderr?: Terminal } }).process?.stderr;

let listening = false;

/** Writes to standard error. Where its reader is gone the text is dropped: an unheard "error" ends the program. */
function writeShown(text: string): void {
  if (!listening) stderr?.on?.("error", () => {});
  listening = true;
  stderr?.write(text);
}
