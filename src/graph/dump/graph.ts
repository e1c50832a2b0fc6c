import type { Step } from "../fusion/step.ts";
import { Leaf, type Node } from "../node.ts";
import type { Place } from "../run/arena.ts";

/** A value that a graph is given. */
export interface GraphLeaf {
  /** Number of the value, which `inputs` of steps name. */
  readonly id: number;
  /** An input of each call, or a weight or another value that stays. */
  readonly kind: "input" | "weight";
  /** Key of the weight, name of the input. */
  readonly name: string;
  /** Type in memory. */
  readonly dtype: string;
  /** Elements in memory. */
  readonly count: number;
}

/** A dispatch, with all that is fused into it. */
export interface GraphStep {
  /** Number of the value that it computes. */
  readonly id: number;
  /** As profiles call it. */
  readonly kernel: string;
  /** Module path, e.g. "down_blocks.0.resnets.0.conv1". */
  readonly path: string;
  /** Shape of the result, as the kernel sees it: of most kernels outer batch, inner batch, rows, columns. */
  readonly shape: readonly number[];
  /** Type of the result in memory. */
  readonly dtype: string;
  /** Elements of the result in memory. */
  readonly count: number;
  /**
   * Pointwise operations that run in the same dispatch, as a formula: `v` is the kernel's own value, `x1` an
   * input, `c0` a number. "" where the kernel stores its value as it is.
   */
  readonly fused: string;
  /** Values that are read: by the kernel itself, then, under a name, by what is fused into it. */
  readonly inputs: readonly {
    readonly id: number;
    /** Its name in `fused`; undefined where the kernel itself reads it. */
    readonly as?: string | undefined;
    /** As it is read: 1 along axes on which it repeats. */
    readonly shape: readonly number[];
  }[];
  /** Number of workgroups that it has. */
  readonly workgroups: number;
  /** Arithmetic operations. */
  readonly flops: number;
  /** Bytes that must move at least. */
  readonly bytes: number;
  /** Buffer of the result. */
  readonly arena: number;
  /** In bytes. */
  readonly offset: number;
  /** True if it is left out of later runs, as nothing that it depends on changed. */
  readonly isKept: boolean;
}

/** A traced function as it runs: dispatches and the values between them. */
export interface Graph {
  /** Name of what was traced, e.g. "UNet2DModel". */
  readonly label: string;
  /** Bytes of each buffer of results. */
  readonly arenas: readonly number[];
  /** Values that it is given. */
  readonly leaves: readonly GraphLeaf[];
  /** In the order in which they run. */
  readonly steps: readonly GraphStep[];
  /** Numbers of the values that are handed out. */
  readonly outputs: readonly number[];
}

/** A plan's steps, and the memory of their results. */
export interface GraphSource {
  readonly label: string;
  readonly steps: readonly Step[];
  readonly inputs: readonly Node[];
  readonly outputs: readonly Node[];
  /** Places of the steps' results. */
  readonly places: ReadonlyMap<Node, Place>;
  /** Bytes of each arena. */
  readonly sizes: readonly number[];
  /** For each step, whether it is left out of later runs. */
  readonly kept: readonly boolean[];
}

/** A plan's steps as data. */
export function graphOf({ label, steps, inputs, outputs, places, sizes, kept }: GraphSource): Graph {
  const read = new Set([...inputs, ...steps.flatMap((step) => step.inputs)]);
  const leaves = [...read].filter((node) => node instanceof Leaf).map((node): GraphLeaf => ({
    id: node.id,
    kind: inputs.includes(node) ? "input" : "weight",
    name: node.label,
    dtype: node.dtype,
    count: node.count,
  }));
  return {
    label,
    arenas: [...sizes],
    leaves,
    steps: steps.map((step, i) => stepOf(step, places.get(step.output)!, kept[i]!)),
    outputs: outputs.map(({ id }) => id),
  };
}

function stepOf(step: Step, { arena, offset }: Place, isKept: boolean): GraphStep {
  const { kernel, path, shape } = step.record;
  const { inputs, fused, flops, bytes } = step.details();
  return {
    id: step.output.id,
    kernel,
    path,
    shape: [...shape],
    dtype: step.output.dtype,
    count: step.output.count,
    fused,
    inputs: inputs.map(({ as, shape }, i) => ({
      id: step.inputs[i]!.id,
      ...as !== undefined && { as },
      shape: [...shape],
    })),
    workgroups: step.workgroups,
    flops,
    bytes,
    arena,
    offset,
    isKept,
  };
}
