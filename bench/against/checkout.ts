import { join } from "node:path";

/** A process that measures with the sources of one checkout, a turn whenever it is asked; see worker.ts. */
export class Checkout implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<string>;
  #rest = "";
  /** The names of what it measures. */
  cases: readonly string[] = [];
  /** What it measures on. */
  adapter = "";

  private constructor(root: string) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--config", join(root, "deno.json"), WORKER, root],
      cwd: root,
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#reader = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Starts the process of a checkout. */
  static async start(root: string): Promise<Checkout> {
    const checkout = new Checkout(root);
    const { cases, adapter } = JSON.parse(await checkout.#line());
    return Object.assign(checkout, { cases, adapter });
  }

  /** Milliseconds of one run of a case. */
  async turn(name: string): Promise<number> {
    await this.#writer.write(new TextEncoder().encode(`${this.cases.indexOf(name)}\n`));
    return JSON.parse(await this.#line()).ms;
  }

  async #line(): Promise<string> {
    while (!this.#rest.includes("\n")) {
      const { value, done } = await this.#reader.read();
      if (done) throw new Error("Cannot measure: the process of a checkout ended; what it printed is above");
      this.#rest += value;
    }
    const [line, ...rest] = this.#rest.split("\n");
    this.#rest = rest.join("\n");
    return line!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close().catch(() => {});
    await this.#reader.cancel();
    await this.#child.status;
  }
}

const WORKER = join(import.meta.dirname!, "worker.ts");
