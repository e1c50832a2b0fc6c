import { join } from "node:path";

const scripts = join(import.meta.dirname!, "../../scripts");

/** A script that runs in its own process beside the test. */
export class ScriptProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #reads: Promise<void>[];
  /** What it printed. */
  text = "";
  #ended = false;

  /** Starts a file of scripts/ with some options. */
  constructor(script: string, args: readonly string[], env: Record<string, string> = {}) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "-A", "--no-check", join(scripts, script), ...args],
      env: { NO_COLOR: "1", HF_HUB_OFFLINE: "1", ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#reads = [this.#child.stdout, this.#child.stderr].map((stream) => this.#read(stream));
    this.#child.status.then(() => this.#ended = true);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Waits until it printed something. */
  async told(text: RegExp): Promise<void> {
    while (!text.test(this.text)) {
      if (this.#ended) throw new Error(`it ended, and printed ${this.text}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Waits for its end. */
  async ended(): Promise<number> {
    const { code } = await this.#child.status;
    await Promise.all(this.#reads);
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) this.kill("SIGKILL");
    await this.ended();
  }

  async #read(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) this.text += part;
  }
}

/** A worker. */
export class WorkerProcess extends ScriptProcess {
  constructor(args: readonly string[], env: Record<string, string> = {}) {
    super("worker.ts", args, env);
  }
}
