import { join } from "node:path";
import { type Family, nullGpu } from "../../scripts/null_gpu/layer.ts";
import type { Loop } from "../../scripts/null_gpu/hot_loop.ts";

/** What one pipeline was compiled to, and what the models use it for. */
export interface Compiled {
  /** The kernel's name. */
  readonly kernel: string;
  /** The snippets that tell its variants apart, e.g. "rows_conv x_vec4 w_nk_half". */
  readonly variant: string;
  /** Dispatches and arithmetic operations in each work of each model, e.g. by "SD 1.5 512² vae decode". */
  readonly uses: Readonly<Record<string, { readonly dispatches: number; readonly flops: number }>>;
  /** By the driver's names, e.g. "VGPRs". */
  readonly statistics: Readonly<Record<string, number>>;
  /** Where most of its arithmetic is; undefined where it has none, or where the driver cannot print the code. */
  readonly loop?: Loop | undefined;
}

/** What a GPU's compiler made of all models. */
export interface Compilation {
  readonly family: Family;
  readonly driver: string;
  readonly pipelines: readonly Compiled[];
}

/** The GPUs that are compiled for: without and with packed f16, with matrix units, and the newest. */
export const COMPILED_FOR = ["vega10", "navi21", "navi31", "gfx1201"] as const satisfies Family[];

/**
 * Compiles all pipelines of all models for a GPU that is not there; with `candidate` those that are named so, which the
 * models then take wherever they are right. Throws NullGpuMissing where that cannot be.
 */
export async function compileFor(family: Family, candidate?: string): Promise<Compilation> {
  const folder = await Deno.makeTempDir({ prefix: "denoise-compiled-" });
  try {
    const env = { ...await nullGpu(family), NULL_GPU_STATS: join(folder, "stats"), NULL_GPU_CODE: folder };
    const worker = join(import.meta.dirname!, "worker.ts");
    const args = ["run", "-A", worker, ...candidate ? [candidate] : []];
    const command = new Deno.Command(Deno.execPath(), { args, env, stdin: "null" });
    const { success, stdout, stderr } = await command.output();
    const text = new TextDecoder();
    if (!success) throw new Error(`Cannot compile for ${family}: ${text.decode(stderr).trim()}`);
    const [opened, ...all] = text.decode(stdout).trim().split("\n").map((line) => JSON.parse(line));
    const pipelines = all.filter(({ kernel }) => !candidate || kernel.includes(candidate));
    return { family, driver: opened.driver, pipelines };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
