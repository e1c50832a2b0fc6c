import { columns, isTerminal, writeShown } from "./shown.ts";

/** Options of a bar: its label and unit, and the place where it is drawn. */
export interface BarOptions {
  /** Words in front of the bar. */
  label?: string | undefined;
  /** Steps ("it", the default) or bytes ("B"). */
  unit?: "it" | "B" | undefined;
  /** Takes the bar's text; by default standard error, redrawn in a terminal, as plain lines elsewhere. */
  write?: ((text: string) => void) | false | undefined;
  /** Nothing is drawn before so many ms have passed, so that short work stays silent. */
  silentMs?: number | undefined;
  /** Text behind the bar, which is then redrawn every second, even where nothing is done. */
  beat?: (() => string) | undefined;
}

const REDRAW_MS = 50; // a terminal is redrawn at most this often
const LINE_MS = 5000; // a log gets a line at most this often
const BEAT_MS = 1000;
const BEAT_LINE_MS = 10_000; // where nothing is done

/** A line that shows count, rate and time left, as tqdm's does. */
export class Bar {
  readonly #total: number;
  readonly #options: BarOptions;
  readonly #write: (text: string) => void;
  readonly #terminal: boolean;
  readonly #start = performance.now();
  readonly #timer: ReturnType<typeof setInterval> | undefined;
  /** The first update, which may have waited for kernels to compile. */
  #begun: { readonly done: number; readonly at: number } | undefined;
  #done = 0;
  #drawn = -Infinity;

  constructor(total: number, options: BarOptions = {}) {
    const { write, silentMs = 0 } = options;
    this.#total = total;
    this.#options = options;
    this.#terminal = write === undefined && isTerminal();
    this.#write = write === false ? () => {} : write ?? writeShown;
    if (silentMs === 0) this.#draw();
    if (options.beat && write !== false) this.#timer = setInterval(() => this.#beat(), BEAT_MS);
  }

  /** Shows that `done` of the total is done. */
  update(done: number): void {
    this.#done = done;
    const now = performance.now();
    if (done > 0) this.#begun ??= { done, at: now };
    if (now - this.#start < (this.#options.silentMs ?? 0)) return;
    const due = now - this.#drawn > (this.#terminal ? REDRAW_MS : LINE_MS);
    if (due || done === this.#total) this.#draw();
  }

  /** Leaves the line. */
  end(): void {
    clearInterval(this.#timer);
    if (this.#terminal && this.#drawn > -Infinity) this.#write("\n");
  }

  #beat(): void {
    const quiet = performance.now() - this.#drawn;
    if (quiet > (this.#terminal ? BEAT_MS / 2 : BEAT_LINE_MS)) this.#draw();
  }

  /** Steps or bytes a second since the first step, which does not count, as it compiles; undefined while that is all. */
  #rate(): number | undefined {
    const { done, at } = this.#begun ?? { done: 0, at: this.#start };
    const now = performance.now();
    if (this.#done > done) return 1000 * (this.#done - done) / (now - at);
    const telling = this.#done > 0 && (this.#options.unit === "B" || this.#done === this.#total);
    return telling ? 1000 * this.#done / (now - this.#start) : undefined;
  }

  #draw(): void {
    this.#drawn = performance.now();
    const rate = this.#rate();
    const left = rate === undefined ? "?" : clock((this.#total - this.#done) / rate);
    const counts = `${this.#amount(this.#done)}/${this.#amount(this.#total)}`;
    const passed = clock((this.#drawn - this.#start) / 1000);
    const note = this.#options.beat?.() ?? "";
    const times = `${counts} [${passed}<${left}${rate === undefined ? "" : `, ${this.#speed(rate)}`}]${
      note && ` ${note}`
    }`;
    const label = this.#options.label ? `${this.#options.label} ` : "";
    const percent = `${Math.floor(100 * this.#done / Math.max(1, this.#total))}%`.padStart(4);
    if (!this.#terminal) return this.#write(`${label}${percent} ${times}\n`);
    const width = Math.max(0, Math.min(30, columns() - label.length - times.length - 9));
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
