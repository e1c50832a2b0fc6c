import type { Problem } from "./cases.ts";

/** Another engine that solves the same problems, in a Python process of its own that waits for its turns. */
export class Peer implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncGenerator<string, void, void>;
  /** Engine, version and threads. */
  name = "";
  /** Why it gave no figure the last time it was asked. */
  refusal: string | undefined;

  private constructor(python: string, script: string, words: readonly string[]) {
    this.#child = new Deno.Command(python, {
      args: ["-B", `${import.meta.dirname}/peers/${script}`, ...words], // -B: no compiled files beside the sources
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#lines = linesOf(this.#child.stdout);
  }

  /** Starts a script of peers/ with some words; undefined where Python or what it imports is not there. */
  static async start(python: string, script: string, ...words: string[]): Promise<Peer | undefined> {
    try {
      const peer = new Peer(python, script, words);
      const { value } = await peer.#lines.next();
      if (value) {
        peer.name = JSON.parse(value).ready;
        return peer;
      }
      await peer[Symbol.asyncDispose]();
      return undefined;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      return undefined;
    }
  }

  /** Milliseconds a layer over one turn, or undefined where it cannot solve the problem. */
  async measure(problem: Problem, layers: number, turnMs: number): Promise<number | undefined> {
    await this.#writer.write(new TextEncoder().encode(`${JSON.stringify({ problem, layers, turnMs })}\n`));
    const { value } = await this.#lines.next();
    const answer = value ? JSON.parse(value) : { error: "the process ended" };
    this.refusal = answer.error;
    return answer.ms;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close().catch(() => {}); // its input's end is its own
    await this.#child.status;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string, void, void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
