import { bytesOf, type DType } from "../core/dtype.ts";
import type { Shape } from "../core/shape.ts";
import type { Settings } from "../gpu/shader/compose.ts";
import type { Snippet } from "../gpu/shader/snippet.ts";
import type { Storage } from "../gpu/memory/buffers.ts";
import type { Expr } from "./expr.ts";

let nextId = 0;

/** A value in a recording. It has a storage once it was computed. */
export abstract class Node {
  /** Order of recording: a node's inputs have smaller ids. */
  readonly id: number = nextId++;
  /** Undefined until a flush stores the value; values that are fused into their use stay without. */
  storage: Storage | undefined;
  /** True once a flush computed around this node without storing it: a later use then stores it. */
  passed = false;
  /** Number of those that retain the value beyond the scopes that own it, see tensor/scope.ts. */
  retained = 0;
  /** True once a scope that owned the value ended while it was retained: the last release frees it. */
  orphaned = false;

  /** A value of `dtype`, not computed yet. */
  constructor(
    readonly dtype: DType,
    /** Elements in memory; every node is dense. */
    readonly count: number,
    /** Module path at recording, e.g. "down_blocks.0.resnets.1". */
    readonly path: string,
  ) {}

  /** The nodes that this one is computed from. */
  abstract readonly sources: readonly Node[];

  /** Forgets how the value was computed, so that its inputs may go. */
  abstract retire(): void;

  /** Size in memory. */
  get bytes(): number {
    return this.count * bytesOf(this.dtype);
  }

  /** Takes its computed value. */
  store(storage: Storage): void {
    this.storage = storage;
    this.retire();
  }
}

/**
 * A node's elements read as a tensor of some shape:
 * element [i, j, …] lies at offset + i·strides[0] + j·strides[1] + ….
 */
export interface View {
  /** Whose elements are read; several views may share one. */
  readonly node: Node;
  /** More elements than the node has where axes repeat, fewer after a slice. */
  readonly shape: Shape;
  /** In elements; 0 along an axis that repeats. */
  readonly strides: readonly number[];
  /** Elements of the node in front of the first. */
  readonly offset: number;
}

/** A tensor's axes, and how they lie in memory. */
export type Axes = Pick<View, "shape" | "strides">;

/** A view that a pointwise node reads, broadcast to the node's shape. */
export interface Operand extends View {
  /** Outside these places of one axis the operand reads as 0: how `cat` and padding are made. */
  readonly window?: { readonly axis: number; readonly start: number; readonly length: number } | undefined;
}

/** Reads weights that are too large for memory from the disk, at every use. */
export interface WeightPager {
  /** Two buffers that are filled by turns: the weights in one are read while the other is filled. */
  readonly slots: readonly GPUBuffer[];
  /** Sends a leaf's values to a place; commands that are submitted later read them there. */
  fill(leaf: Leaf, place: Storage): Promise<void>;
  /** Throws what was found wrong with the values that were sent. */
  check(): Promise<void>;
}

/** A value that is given: a weight, an upload, an input of a traced model. */
export class Leaf extends Node {
  /** For a streamed weight: reads its values. */
  pager: WeightPager | undefined;
  /** None: recordings begin here. */
  readonly sources: readonly Node[] = [];

  /** Without a storage a leaf is filled later, by an upload or by the run of a plan. */
  constructor(
    dtype: DType,
    count: number,
    readonly label: string,
    storage?: Storage,
    /** The value as a tensor, for messages, where it is one. */
    readonly tensor?: Axes,
  ) {
    super(dtype, count, "");
    this.storage = storage;
  }

  /** There is nothing to forget. */
  retire(): void {}
}

/** An input of a trace. It has values only during a call, which supplies them. */
export class Input extends Leaf {}

/** An expression evaluated at each place of `shape`; stored dense with `strides`. */
export class Pointwise extends Node {
  constructor(
    dtype: DType,
    count: number,
    path: string,
    readonly shape: Shape,
    readonly strides: readonly number[],
    readonly expr: Expr,
    public operands: readonly Operand[],
    readonly scalars: readonly number[],
  ) {
    super(dtype, count, path);
  }

  get sources(): readonly Node[] {
    return this.operands.map((operand) => operand.node);
  }

  retire(): void {
    this.operands = [];
  }
}

/** One dispatch of a shader of `shaders/`. */
export interface Pass {
  /** As profiles and errors call it. */
  readonly name: string;
  /** The kernel, and the snippets that it runs on where these are chosen; what they need always comes by itself. */
  readonly code: readonly Snippet[];
  /** Values for its `alias NAME = …;` and `const NAME: type = …;` lines. */
  readonly set: Settings;
  /** Values of its `struct Params`, by name. */
  readonly params: Readonly<Record<string, number>>;
  /** Adjacent columns that one call of `store` gets. */
  readonly width: 1 | 4;
  /** Number of workgroups; more than a dimension holds are folded into two (see lib/grid.wgsl). */
  readonly workgroups: number;
  /**
   * The tensors of its `var<storage, read>`, in order, by number: first the kernel's inputs, then the results of
   * earlier passes. All inputs by default.
   */
  readonly reads?: readonly number[] | undefined;
}

/** A pass in front of the last, whose result stays within the kernel: no work is fused into its `store`. */
export interface FirstPass extends Pass {
  /** Type of the result. */
  readonly dtype: DType;
  /** The result, dense: batches (outer, inner), rows, columns. */
  readonly axes: readonly [number, number, number, number];
  /** Arithmetic operations of the kernel that happen here, for the profiler. */
  readonly flops?: number | undefined;
}

/**
 * A way to compute a kernel: its last pass, which stores the result, and those in front of it. Names and constants (`set`)
 * tell the candidates of a kernel apart.
 */
export interface Candidate extends Pass {
  /**
   * True for the one of a kernel's candidates that the others are checked against when they are first measured: the one that
   * asks least of an adapter and its driver, in f32.
   */
  readonly plain?: boolean | undefined;
  /**
   * Factor of its rounding errors over those of plain sums of products, for other arithmetic (Winograd's
   * transforms); 1 by default.
   */
  readonly errors?: number | undefined;
  /** In order. */
  readonly before?: readonly FirstPass[] | undefined;
}

/** A kernel's dispatch: passes, inputs, params, and the shape of its output. */
export interface KernelSpec {
  /** The operator, e.g. "gemm". */
  readonly name: string;
  /** Ways to compute it that are right on the device, the best guess first; one is chosen when the plan is made. */
  readonly candidates: readonly Candidate[];
  /** Equal for shapes and dtypes for which the same candidate is taken to be the fastest; "" where there is no choice. */
  readonly shapeClass: string;
  /** Inputs of the passes; each is bound whole, so that `params` carry offsets. */
  readonly inputs: readonly View[];
  /** The output in the kernel's own coordinates: batches (outer, inner), rows, columns, and their strides. */
  readonly axes: readonly [number, number, number, number];
  /** Strides of the output along `axes`, in elements. */
  readonly strides: readonly [number, number, number, number];
  /** Arithmetic operations in one run, for the profiler; what is fused is added to it. */
  readonly flops: number;
  /** The output as a tensor, for messages; its own coordinates where that is not known. */
  readonly tensor?: Axes | undefined;
}

/** The output of a kernel. */
export class Kernel extends Node {
  constructor(dtype: DType, count: number, path: string, public spec: KernelSpec) {
    super(dtype, count, path);
  }

  get sources(): readonly Node[] {
    return this.spec.inputs.map((input) => input.node);
  }

  retire(): void {
    this.spec = { ...this.spec, inputs: [] };
  }
}

/** The result of a pass in front of a kernel's last: it lives from one dispatch to another. */
export class Scratch extends Node {
  /** Its step knows what it reads. */
  readonly sources: readonly Node[] = [];

  /** There is nothing to forget. */
  retire(): void {}
}
