import { exprKey } from "../expr.ts";
import { Leaf, type Node, type Pointwise } from "../node.ts";

/** A trace that is being recorded. */
interface Trace {
  /** Takes the values that are made in it, which belong to it. */
  readonly made: DisposableStack;
  /** Pointwise nodes by what they compute: equal ones are recorded once. */
  readonly known: Map<string, Pointwise>;
}

/** Traces and dry runs: what is recorded in them does not run by itself. */
export class Tracing {
  /** The innermost last. */
  readonly #traces: Trace[] = [];
  #dryRuns = 0;

  /** True while a trace or a dry run is open. */
  get isOpen(): boolean {
    return this.#dryRuns > 0 || this.#traces.length > 0;
  }

  /** Runs `record` as a trace. */
  trace<T>(made: DisposableStack, record: () => T): T {
    this.#traces.push({ made, known: new Map() });
    try {
      return record();
    } finally {
      this.#traces.pop();
    }
  }

  /** Runs `record` for its checks and shapes only. */
  dryRun<T>(record: () => T): T {
    this.#dryRuns++;
    try {
      return record();
    } finally {
      this.#dryRuns--;
    }
  }

  /** Takes a new node, where a trace is open. */
  takes(node: Node): boolean {
    const trace = this.#traces.at(-1);
    if (trace && node instanceof Leaf) trace.made.defer(() => node.storage?.release());
    return trace !== undefined;
  }

  /** The node that stands for an equal one recorded before in this trace, else the node itself. */
  unique(node: Pointwise): Pointwise {
    const known = this.#traces.at(-1)?.known;
    if (!known) return node;
    const operands = node.operands.map(({ node, strides, offset, window }) =>
      `${node.id}:${strides}:${offset}:${window ? Object.values(window) : ""}`
    );
    const key = [node.dtype, node.shape, node.strides, exprKey(node.expr), node.scalars, ...operands].join(
      ";",
    );
    const before = known.get(key);
    if (!before) known.set(key, node);
    return before ?? node;
  }
}
