import { z } from "zod";
import { readJson } from "../../src/io/config.ts";

/** Milliseconds of the occurrences of something: their median, and the quartiles on both sides of it. */
const spread = z.object({ median: z.number(), low: z.number(), high: z.number() });

/** What an adapter does at most. */
const ROOFS = ["f32", "f16", "matrix", "memory"] as const;

/** What the host does. */
export const HOST_KINDS = ["record", "fuse", "prepare", "encode", "submit", "wait"] as const;
type HostNumbers = Record<typeof HOST_KINDS[number], z.ZodNumber>;

/** A place in another list. */
const index = z.int().min(0);

/** A kernel's dispatches of one module, size and stretch. */
const row = z.object({
  kernel: z.string(),
  /** Class of the model; "" for what a loop computes itself. */
  model: z.string(),
  /** Of the module in the model. */
  path: z.string(),
  /** Stretch in which it was recorded: "step", or "" for what a run does outside its steps. */
  mark: z.string(),
  /** Of the result, as the kernel sees it, and its type in memory. */
  shape: z.array(z.number()),
  dtype: z.string(),
  /** Index of its text in `kernels`. */
  text: index,
  /** Workgroups along x and y. */
  workgroups: z.tuple([z.number(), z.number()]),
  /** Tensors that are read, by the kernel itself, then by what is fused into it: those have a name in `fused`. */
  inputs: z.array(z.object({
    /** Key of a weight; "" of what was computed before. */
    name: z.string(),
    shape: z.array(z.number()),
    dtype: z.string(),
    as: z.string().optional(),
  })),
  /** Pointwise operations in the same dispatch, as a formula of the kernel's value `v`; "" where there are none. */
  fused: z.string(),
  /** Operations and bytes of one dispatch. */
  flops: z.number(),
  bytes: z.number(),
  /** Dispatches of one step, or outside steps of one run. */
  calls: z.number(),
  /** Of all of these together. */
  ms: spread,
  /** Dispatches of all steps and runs, and their time if each step or run took the median: one that was disturbed weighs nothing. */
  count: z.number(),
  totalMs: z.number(),
  /** Part of the time of all rows, 0 to 1. */
  share: z.number(),
  gflops: z.number(),
  gbytes: z.number(),
  /** What of the adapter would be the last to be done with it: its arithmetic or its memory. */
  roof: z.enum(ROOFS),
  /** Part of that which is reached, 0 to 1; more where caches spare memory. */
  ofPeak: z.number(),
});

/** Where in a kernel's text its work is: all its dispatches in one step of a model, or one run of a pipeline. */
const lines = z.object({
  calls: z.number(),
  /** Of these dispatches together, as rows have them. */
  flops: z.number(),
  bytes: z.number(),
  /** The lines that ran. */
  counts: z.array(z.object({
    /** Index in `parts`, and the line's number in it, from 1. */
    part: z.number(),
    line: z.number(),
    /** Invocations that began its statement. */
    executions: z.number(),
    /** Of all of them together: operations on numbers with a fraction, other operations, bytes of storage buffers and of workgroup memory. */
    flops: z.number(),
    others: z.number(),
    loaded: z.number(),
    stored: z.number(),
    shared: z.number(),
    /** Invocations that met a barrier; calls of functions between lanes, and of matrix units. */
    barriers: z.number(),
    subgroups: z.number(),
    /** True where a type is not known: it does as much at least. */
    atLeast: z.boolean(),
  })),
  /** Why it could not be counted; then there are no counts. */
  refused: z.string().optional(),
});

/** A kernel's text as it was compiled. */
const kernel = z.object({
  name: z.string(),
  /** The text is that of all parts, with a line's end behind each. */
  parts: z.array(z.object({
    /** A file, e.g. "shaders/lib/grid.wgsl", or what wrote it. */
    name: z.string(),
    text: z.string(),
    /** Why it is there: the operator chose it, another part needs it, or the host wrote it for this kernel. */
    reason: z.enum(["listed", "needed", "written"]),
    /** Names of its `const` and `alias` lines that the host set. */
    set: z.array(z.string()),
  })),
  /** Variables that are bound, by their numbers. */
  bindings: z.array(z.object({
    binding: z.number(),
    name: z.string(),
    use: z.enum(["read", "write", "uniform"]),
    type: z.string(),
  })),
  /** Invocations of a workgroup along x, y and z. */
  workgroup: z.tuple([z.number(), z.number(), z.number()]),
  /** With --lines, of the kernels that it counts. */
  lines: lines.optional(),
});

/** What `--json` writes, and `--compare` reads: all that tables, charts and traces are drawn from. */
export const profileForm = z.object({
  format: z.literal("denoise-profile"),
  version: z.literal(2),
  denoise: z.string(),
  adapter: z.object({ name: z.string(), engine: z.string(), text: z.string() }),
  subject: z.object({
    model: z.string(),
    className: z.string(),
    /** What a run does, with shapes. */
    work: z.string(),
    dtype: z.string(),
    steps: z.int().min(1),
    runs: z.int().min(1),
    pipeline: z.boolean(),
  }),
  /** Measured on this adapter: GFLOP/s, and of memory GB/s. */
  peaks: z.object({
    f32: z.number(),
    f16: z.number().optional(),
    matrix: z.number().optional(),
    memory: z.number(),
  }),
  pipelines: z.object({ count: z.number(), compileMs: z.number(), warmUpMs: z.number() }),
  /** Of steps by the clock: without timestamps from one step to the next, or of runs of one or two steps as `stepTimes` has them. */
  step: spread,
  /** Runs by the clock: without timestamps, with them at passes, with a pass for each dispatch. */
  runMs: z.object({ plain: spread, passes: spread, dispatches: spread }),
  /** Of one run on the GPU, at passes as they are, and where each dispatch has one. */
  gpuMs: z.object({ passes: spread, dispatches: spread }),
  /** Of one run on the GPU between dispatches that have passes of their own. */
  gapMs: z.number(),
  /** Of the host in one run without timestamps; `record` is the model's own code, and all that is in none of the others. */
  hostMs: z.object(Object.fromEntries(HOST_KINDS.map((kind) => [kind, z.number()])) as HostNumbers),
  rows: z.array(row).min(1),
  /** Texts of the rows' kernels: one kernel may have several, with other settings or fused work. */
  kernels: z.array(kernel),
  /**
   * Every dispatch in order: number of its row, its step or run, start and length in ms, and bytes of its model's results
   * that are needed while it runs. Times here and below are on one clock, from the first run with a pass for each dispatch on.
   */
  dispatches: z.array(z.tuple([index, z.string(), z.number(), z.number(), z.number()])).min(1),
  /** What the host did in the same runs, without gaps: its kind, the step or run, start and length in ms. */
  host: z.array(z.tuple([z.enum(HOST_KINDS), z.string(), z.number(), z.number()])),
  /** Steps of the same runs, and other stretches that were named: name, the step or run, start and length in ms by the host. */
  stretches: z.array(z.tuple([z.string(), z.string(), z.number(), z.number()])),
  /**
   * Most ms by which dispatches may have begun later than they say: they are placed as early as can be with each run's work
   * behind its submission.
   */
  clockSlackMs: z.number(),
  /** For `--compare` measured again: ms of each step or run of kernels by name and size; a kernel is slower if it was so each time. */
  again: z.array(z.record(z.string(), z.array(z.number()))),
  memory: z.object({
    /** Most bytes that the device had at once. */
    peak: z.number(),
    /** Bytes that it had in the runs with a pass for each dispatch, from a time on. */
    device: z.array(z.tuple([z.number(), z.number()])),
    plans: z.array(z.object({
      /** Class of the model. */
      label: z.string(),
      /** Bytes of each buffer of activations. */
      arenas: z.array(z.number()),
      /** Modules down to the innermost: bytes of weights, and the most activations that are needed at once within. */
      modules: z.array(z.object({ path: z.string(), weights: z.number(), peak: z.number() })),
      /** Where each result lies, and from which dispatch to which it is needed. */
      values: z.array(z.object({
        kernel: z.string(),
        path: z.string(),
        arena: index,
        offset: z.number(),
        bytes: z.number(),
        first: index,
        last: index,
      })),
    })),
  }),
});

/** A profile as a file has it, where each number of something in another list is one that is there. */
const profileFile = profileForm.superRefine(({ rows, kernels, dispatches, memory }, context) => {
  const expectIn = (list: readonly unknown[], name: string, place: number, ...path: (string | number)[]) => {
    if (place < list.length) return;
    const message = `expected one of ${list.length} ${name}, got number ${place}`;
    context.addIssue({ code: "custom", path, message });
  };
  rows.forEach(({ text }, i) => expectIn(kernels, "kernels", text, "rows", i, "text"));
  dispatches.forEach(([row], i) => expectIn(rows, "rows", row, "dispatches", i, 0));
  memory.plans.forEach(({ arenas, values }, plan) =>
    values.forEach(({ arena }, i) =>
      expectIn(arenas, "arenas", arena, "memory", "plans", plan, "values", i, "arena")
    )
  );
});

/** A profile, as files have it. */
export type Profile = z.infer<typeof profileForm>;

/** A row of a profile. */
export type ProfileRow = Profile["rows"][number];

/** Where in a kernel's text its work is. */
export type KernelLines = z.infer<typeof lines>;

/** A kind of the host's work. */
export type HostKind = typeof HOST_KINDS[number];

/** Median and quartiles. */
export type Spread = z.infer<typeof spread>;

/** Reads a profile that `--json` wrote. */
export async function readProfile(path: string): Promise<Profile> {
  const parsed = profileFile.safeParse(await readJson(path));
  if (parsed.success) return parsed.data;
  const { path: at, message } = parsed.error.issues[0]!;
  throw new TypeError(
    `Cannot read ${path}: expected a profile that --json of this version wrote, got another at ` +
      `"${at.join(".")}" (${message})`,
  );
}
