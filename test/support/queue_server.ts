/** A Valkey or Redis server of its own process, with its own folder, which keeps what it holds in a file. */

import { freePort } from "./free_port.ts";
import { until } from "./until.ts";

const NAMES = ["valkey-server", "redis-server"];

/** The program; undefined where none is installed. */
export const queueProgram = NAMES.find((name) => {
  try {
    return new Deno.Command(name, { args: ["--version"], stdout: "null", stderr: "null" }).outputSync()
      .success;
  } catch {
    return false;
  }
});

if (!queueProgram) {
  console.log("Left out: tests of the queue, as neither valkey-server nor redis-server is installed");
}

/** A Sentinel, which watches a primary that is not there. */
export class Sentinel implements AsyncDisposable {
  readonly url: string;
  readonly #folder: string;
  readonly #process: Deno.ChildProcess;

  private constructor(folder: string, port: number, process: Deno.ChildProcess) {
    [this.#folder, this.#process, this.url] = [folder, process, `redis://127.0.0.1:${port}`];
  }

  static async start(): Promise<Sentinel> {
    const [folder, port] = [await Deno.makeTempDir({ prefix: "denoise-sentinel-" }), freePort()];
    const file = `${folder}/sentinel.conf`; // in which it writes
    await Deno.writeTextFile(
      file,
      `port ${port}\nbind 127.0.0.1\ndir "${folder}"\nsentinel monitor primary 127.0.0.1 ${freePort()} 1\n`,
    );
    const args = [file, "--sentinel"];
    const process = new Deno.Command(queueProgram!, { args, stdin: "null", stdout: "null", stderr: "null" })
      .spawn();
    await listening(port);
    return new Sentinel(folder, port, process);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.status;
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** One that runs, can be killed, and starts again with its file. */
export class QueueServer implements AsyncDisposable {
  readonly #folder = Deno.makeTempDirSync({ prefix: "denoise-queue-" });
  readonly #port = freePort();
  readonly #options: readonly string[];
  #process: Deno.ChildProcess | undefined;

  private constructor(options: readonly string[]) {
    this.#options = options;
  }

  /** Starts one, with options of its command line. */
  static async start(...options: string[]): Promise<QueueServer> {
    const server = new QueueServer(options);
    await server.start();
    return server;
  }

  /** The address, of one of its databases. */
  url({ database = 0, login = "" } = {}): string {
    return `redis://${login && `${login}@`}127.0.0.1:${this.#port}/${database}`;
  }

  get port(): number {
    return this.#port;
  }

  /** Starts, with what its file holds. */
  async start(): Promise<void> {
    const place = ["--port", String(this.#port), "--bind", "127.0.0.1", "--dir", this.#folder];
    const file = ["--appendonly", "yes", "--save", ""];
    this.#process = new Deno.Command(queueProgram!, {
      args: [...place, ...file, ...this.#options],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    await listening(this.#port);
  }

  /** Ends it at once, as a machine that loses its power does. */
  async kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.status;
    this.#process = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** Waits until something listens at a port. */
async function listening(port: number): Promise<void> {
  await until(async () => {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port }).catch(() => undefined);
    connection?.close();
    return connection !== undefined;
  }, `a server at port ${port}`);
}
