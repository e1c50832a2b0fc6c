import { sameNumbers, sameStrides, type Shape } from "../../core/shape.ts";
import { fitStrides, reorder } from "./axes.ts";
import { type Expr, exprSize, substitute } from "../expr.ts";
import { Kernel, Leaf, type Node, type Operand, Pointwise } from "../node.ts";

const MOST_OPERATIONS = 48; // of one expression: WGSL compilers limit how deep parentheses nest

/** Nodes that run as one dispatch: a pointwise expression, a kernel, or a kernel with a pointwise tail. */
export interface Group {
  /** The node whose value is stored. */
  readonly output: Node;
  /** The kernel in whose `store` the expression runs; its value is the operand that names it. */
  readonly kernel?: Kernel | undefined;
  readonly expr: Expr;
  readonly operands: readonly Operand[];
  readonly scalars: readonly number[];
  readonly shape: Shape;
  readonly strides: readonly number[];
  /** All nodes that it computes, the kernel and those that are fused among them. */
  readonly nodes: readonly Node[];
}

/**
 * Groups nodes (in order of recording) into dispatches. A pointwise node joins the one pointwise consumer
 * that reads it whole; a kernel takes the pointwise work on its output into its `store`. Nodes in `kept` are
 * always stored.
 */
export function fuse(nodes: readonly Node[], kept: ReadonlySet<Node>, maxBuffers: number): Group[] {
  const uses = new Map<Node, number>();
  for (const node of nodes) for (const source of node.sources) uses.set(source, (uses.get(source) ?? 0) + 1);
  const here = new Set(nodes);
  const free = (node: Node) => here.has(node) && !kept.has(node) && uses.get(node) === 1;

  const groups = new Map<Node, Group>();
  for (const node of nodes) {
    if (node instanceof Kernel) groups.set(node, kernelGroup(node));
    if (!(node instanceof Pointwise)) continue;
    let group = pointwiseGroup(node);
    for (const operand of node.operands) {
      const source = operand.node;
      if (!(source instanceof Pointwise) || !free(source)) continue;
      const aligned = align(groups.get(source)!, operand);
      const merged = aligned && inline(group, operand, aligned);
      if (!merged || merged.operands.length + 1 > maxBuffers || exprSize(merged.expr) > MOST_OPERATIONS) {
        continue;
      }
      groups.delete(source);
      group = merged;
    }
    groups.set(node, group);
  }
  for (const [node, group] of groups) {
    if (!(node instanceof Pointwise)) continue;
    // The kernel recorded last is the one whose other operands are surely there.
    const kernels = group.operands.map((operand) => operand.node).filter((n) => n instanceof Kernel);
    for (const kernel of kernels.sort((a, b) => b.id - a.id)) {
      if (!free(kernel) || !canEnd(kernel, group, maxBuffers)) continue;
      groups.delete(kernel);
      groups.set(node, { ...group, kernel, nodes: [kernel, ...group.nodes] });
      break;
    }
  }
  return [...groups.values()].sort((a, b) => a.output.id - b.output.id);
}

/** The nodes that `roots` are computed from and that are not there yet, in order of recording. */
export function reachable(roots: Iterable<Node>): Node[] {
  const found = new Set<Node>();
  const stack = [...roots];
  while (stack.length) {
    const node = stack.pop()!;
    if (found.has(node) || node.storage || node instanceof Leaf) continue;
    found.add(node);
    stack.push(...node.sources);
  }
  return [...found].sort((a, b) => a.id - b.id);
}

const VALUE: Expr = { op: "operand", index: 0 };

function kernelGroup(kernel: Kernel): Group {
  return { ...valueGroup(kernel, kernel.spec.axes, kernel.spec.strides), kernel };
}

/** The group that stores a node's own value. */
export function valueGroup(output: Node, shape: Shape, strides: readonly number[]): Group {
  const operand: Operand = { node: output, shape, strides, offset: 0 };
  return { output, expr: VALUE, operands: [operand], scalars: [], shape, strides, nodes: [output] };
}

function pointwiseGroup(node: Pointwise): Group {
  const { expr, operands, scalars, shape, strides } = node;
  return { output: node, expr, operands, scalars, shape, strides, nodes: [node] };
}

/** True where an operand is read once from end to end, in the order of `strides`. */
function readsWhole(operand: Operand, strides: readonly number[]): boolean {
  const count = operand.shape.reduce((product, n) => product * n, 1);
  return !operand.window && operand.offset === 0 && operand.node.count === count &&
    sameStrides(operand.shape, operand.strides, strides);
}

/**
 * The group seen in the shape in which an operand reads its value;
 * undefined where it is not read element for element.
 */
function align(group: Group, operand: Operand): Group | undefined {
  const { shape, strides } = operand;
  const count = shape.reduce((product, n) => product * n, 1);
  if (operand.window || operand.offset !== 0 || group.output.count !== count) return undefined;
  if (sameNumbers(shape, group.shape)) return sameStrides(shape, strides, group.strides) ? group : undefined;
  if (group.operands.some((other) => other.window)) return undefined;
  const views = group.operands.map((other) =>
    reorder(group.shape, group.strides, other.strides, shape, strides)
  );
  if (!views.every((view) => view !== undefined)) return undefined;
  const operands = group.operands.map((other, i): Operand => ({ ...other, shape, strides: views[i]! }));
  return { ...group, operands, shape, strides };
}

/** The group with one operand replaced by the expression that computes it. */
function inline(group: Group, operand: Operand, source: Group): Group {
  const operands: Operand[] = [];
  const scalars = [...group.scalars, ...source.scalars];
  const add = (other: Operand) => {
    const same = (o: Operand) =>
      o.node === other.node && o.offset === other.offset && sameNumbers(o.strides, other.strides) &&
      o.window === other.window;
    const found = operands.findIndex(same);
    return { op: "operand", index: found >= 0 ? found : operands.push(other) - 1 } as const;
  };
  const inner = () =>
    substitute(
      source.expr,
      (index) => add(source.operands[index]!),
      (index) => index + group.scalars.length,
    );
  const expr = substitute(
    group.expr,
    (index) => group.operands[index] === operand ? inner() : add(group.operands[index]!),
    (index) => index,
  );
  return { ...group, expr, operands, scalars, nodes: [...source.nodes, ...group.nodes] };
}

/** True where the group's expression can run in the kernel's `store`. */
function canEnd(kernel: Kernel, group: Group, maxBuffers: number): boolean {
  const { spec } = kernel;
  const own = group.operands.filter((operand) => operand.node === kernel);
  const others = group.operands.filter((operand) => operand.node !== kernel);
  const reads = Math.max(...spec.candidates.map((candidate) => (candidate.reads ?? spec.inputs).length));
  if (group.output.count !== kernel.count || reads + others.length + 1 > maxBuffers) return false;
  if (others.some((operand) => operand.window)) return false;
  if (!own.every((operand) => readsWhole(operand, group.strides))) return false;
  return !!fitStrides(
    group.shape,
    group.strides,
    others.map((operand) => operand.strides),
    spec.axes,
    spec.strides,
  );
}
