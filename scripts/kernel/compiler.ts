/**
 * Kernels as the compiler of an AMD GPU that is not here makes them: a process above a null GPU, which stays
 * open.
 */
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { type Family, nullGpu } from "../null_gpu/layer.ts";
import type { KernelDescription } from "./description.ts";
import type { Origin } from "./works.ts";

/** The kernels that are compiled: those that a name means at an origin's shapes. */
export interface Wanted extends Origin {
  readonly kernel: string;
  /** Shapes at most, those with the most work. */
  readonly rows: number;
}

/** The answer of the process to texts: the kernels with what was made of them, or why they do not compile. */
export type Answer = { readonly kernels: readonly KernelDescription[] } | { readonly error: string };

/** A compiler for one GPU. Disposing it ends its process. */
export class KernelCompiler implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #folder: string;
  readonly #family: Family;
  readonly #requests: WritableStreamDefaultWriter<Uint8Array>;
  readonly #answers: AsyncIterator<string>;
  readonly #complaints: Promise<string>;

  private constructor(child: Deno.ChildProcess, folder: string, family: Family) {
    this.#child = child;
    this.#folder = folder;
    this.#family = family;
    this.#requests = child.stdin.getWriter();
    this.#answers = createInterface({ input: Readable.from(child.stdout) })[Symbol.asyncIterator]();
    this.#complaints = new Response(child.stderr).text();
  }

  /** Starts the process. Throws NullGpuMissing where that cannot be. */
  static async open(family: Family, wanted: Wanted): Promise<KernelCompiler> {
    const env = await nullGpu(family);
    const folder = await Deno.makeTempDir({ prefix: "denoise-kernel-" });
    const command = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", join(import.meta.dirname!, "compiler_process.ts"), family, JSON.stringify(wanted)],
      env: { ...env, NULL_GPU_STATS: join(folder, "stats"), NULL_GPU_CODE: folder },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped", // Mesa writes there, too
    });
    return new KernelCompiler(command.spawn(), folder, family);
  }

  /** The kernels with what is made of them; `texts` stand in place of the files of these paths. */
  async compile(texts: ReadonlyMap<string, string> = new Map()): Promise<readonly KernelDescription[]> {
    const line = JSON.stringify([...texts]);
    await this.#requests.write(new TextEncoder().encode(`${line}\n`)).catch(() => {}); // its end is told below
    const { value } = await this.#answers.next();
    if (value === undefined) {
      const lines = (await this.#complaints).trim().split("\n");
      const reason = lines.findLast((line) => line.startsWith("Cannot")); // behind it a driver may say more
      throw new Error(reason ?? `Cannot compile for ${this.#family}: ${lines.at(-1)}`);
    }
    const answer = JSON.parse(value) as Answer;
    if ("error" in answer) throw new Error(answer.error);
    return answer.kernels;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#requests.close().catch(() => {}); // which ends it
    await this.#child.status;
    await this.#answers.return?.();
    await this.#complaints;
    await Deno.remove(this.#folder, { recursive: true });
  }
}
