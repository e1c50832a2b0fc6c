import { formatShape, type Shape } from "../core/shape.ts";

/** A letter, or the place of an axis under `...`, counted from the last: ".0", ".1", …. */
export type Label = string;

/** Labels of the axes of each operand and of the result, and their sizes. */
export interface Equation {
  readonly inputs: readonly (readonly Label[])[];
  readonly output: readonly Label[];
  readonly sizes: ReadonlyMap<Label, number>;
}

/** Reads an equation of einsum for operands of these shapes. */
export function parseEquation(equation: string, shapes: readonly Shape[]): Equation {
  const refuse = (expected: string, got: string): never => {
    throw new RangeError(`Cannot compute einsum "${equation}": expected ${expected}, got ${got}`);
  };
  const [left, right, ...more] = equation.replaceAll(/\s/g, "").split("->");
  const terms = left!.split(",");
  const odd = [...terms, right ?? ""].find((term) => !/^[a-zA-Z]*(\.{3}[a-zA-Z]*)?$/.test(term));
  if (odd !== undefined || more.length > 0) refuse("letters, one ... a term and one ->", odd ?? equation);
  if (terms.length !== shapes.length) refuse(`${terms.length} operands`, `${shapes.length}`);

  const inputs = terms.map((term, i): Label[] => {
    const shape = shapes[i]!;
    const others = shape.length - letters(term).length;
    if (term.includes("...") ? others < 0 : others !== 0) {
      refuse(`"${term}" to name each axis of operand ${i}`, formatShape(shape));
    }
    return labels(term, others);
  });
  const sizes = new Map<Label, number>();
  inputs.forEach((own, i) =>
    own.forEach((label, axis) => {
      const [known, n] = [sizes.get(label) ?? 1, shapes[i]![axis]!];
      const uneven = shapes[i]![own.indexOf(label)] !== n; // a diagonal does not broadcast
      if (uneven || (known !== n && known !== 1 && n !== 1)) {
        refuse(`${known} elements along ${label}`, `${n}`);
      }
      sizes.set(label, n === 1 ? known : n);
    })
  );
  const hidden = [...sizes.keys()].filter((label) => label.startsWith(".")).length;
  const output = right === undefined ? impliedOutput(inputs, hidden) : labels(right, hidden);
  const twice = output.find((label, i) => output.indexOf(label) !== i);
  if (twice) refuse("each label of the result once", twice);
  const unknown = output.find((label) => !sizes.has(label));
  if (unknown) refuse("labels of the result among those of the operands", unknown);
  return { inputs, output, sizes };
}

function letters(term: string): string[] {
  return [...term.replace("...", "")];
}

/** A term's labels, `others` of them for its dots. */
function labels(term: string, others: number): Label[] {
  const [front, behind] = term.split("...");
  if (behind === undefined) return letters(term);
  const dots = Array.from({ length: others }, (_, i) => `.${others - 1 - i}`);
  return [...front!, ...dots, ...behind];
}

/** Without an arrow: what the dots stand for, then the letters that occur once, in order. */
function impliedOutput(inputs: readonly (readonly Label[])[], hidden: number): Label[] {
  const all = inputs.flat().filter((label) => !label.startsWith("."));
  return [
    ...labels("...", hidden),
    ...all.filter((label) => all.filter((l) => l === label).length === 1).sort(),
  ];
}
