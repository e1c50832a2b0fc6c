import { size } from "../core/shape.ts";
import { Tensor } from "../tensor/mod.ts";
import { type Equation, type Label, parseEquation } from "./einsum_equation.ts";
import { matmul } from "./matmul.ts";

/** A tensor with a label for each axis. */
interface Labelled {
  readonly x: Tensor;
  readonly labels: readonly Label[];
}

/**
 * Products and sums over labelled axes, as torch.einsum: `einsum("bhqd,bhkd->bhqk", q, k)`. Each label is an axis,
 * those that the result lacks are summed, `...` stands for all others. Operands are taken in from left to right, each
 * by one matrix product.
 */
export function einsum(equation: string, ...operands: readonly Tensor[]): Tensor {
  const { inputs, output, sizes } = parseEquation(equation, operands.map(({ shape }) => shape));
  const [first, ...others] = operands.map((x, i) => simplified(x, inputs[i]!, sizes));
  let result = first!;
  others.forEach((next, i) => {
    const needed = new Set([...output, ...others.slice(i + 1).flatMap(({ labels }) => labels)]);
    result = contracted(result, next, needed);
  });
  return arranged(summed(result, new Set(output)), output, sizes);
}

/** The operand with one axis a label: diagonals of those named twice, without those that repeat one element. */
function simplified(x: Tensor, labels: readonly Label[], sizes: Equation["sizes"]): Labelled {
  const kept = [...new Set(labels)].filter((label) => {
    const own = x.shape[labels.indexOf(label)];
    return own === sizes.get(label);
  });
  const strides = kept.map((label) =>
    labels.reduce((sum, other, axis) => other === label ? sum + x.strides[axis]! : sum, 0)
  );
  const shape = kept.map((label) => sizes.get(label)!);
  return { x: new Tensor(x.device, x.node, shape, strides, x.offset), labels: kept };
}

/** Without the axes that nothing needs. */
function summed({ x, labels }: Labelled, needed: ReadonlySet<Label>): Labelled {
  const gone = [...labels.keys()].filter((axis) => !needed.has(labels[axis]!));
  if (gone.length === 0) return { x, labels };
  return { x: x.sum(gone), labels: labels.filter((label) => needed.has(label)) };
}

/** Both operands multiplied, and summed over what they share and nothing else needs. */
function contracted(left: Labelled, right: Labelled, needed: ReadonlySet<Label>): Labelled {
  const a = summed(left, new Set([...needed, ...right.labels]));
  const b = summed(right, new Set([...needed, ...left.labels]));
  const shared = a.labels.filter((label) => b.labels.includes(label));
  const batch = shared.filter((label) => needed.has(label));
  const over = shared.filter((label) => !needed.has(label));
  const rows = a.labels.filter((label) => !shared.includes(label));
  const columns = b.labels.filter((label) => !shared.includes(label));
  const sizesOf = ({ x, labels }: Labelled, of: readonly Label[]) =>
    of.map((label) => x.shape[labels.indexOf(label)]!);
  const matrices = (one: Labelled, ...groups: (readonly Label[])[]) =>
    one.x.permute(groups.flat().map((label) => one.labels.indexOf(label)))
      .reshape(groups.map((group) => size(sizesOf(one, group))));
  const [x, y] = [matrices(a, batch, rows, over), matrices(b, batch, over, columns)];
  const product = over.length === 0 ? x.mul(y) : matmul(x, y); // [batch, rows, 1] and [batch, 1, columns], or matrices
  const shape = [...sizesOf(a, [...batch, ...rows]), ...sizesOf(b, columns)];
  return { x: product.reshape(shape), labels: [...batch, ...rows, ...columns] };
}

/** The axes in the order of the result; those that no operand had whole repeat. */
function arranged({ x, labels }: Labelled, output: readonly Label[], sizes: Equation["sizes"]): Tensor {
  const there = output.filter((label) => labels.includes(label));
  const turned = x.permute(there.map((label) => labels.indexOf(label)));
  const full = output.map((label) => sizes.get(label)!);
  return turned.reshape(output.map((label) => labels.includes(label) ? sizes.get(label)! : 1)).expand(full);
}
