import type { Graph } from "./graph.ts";

/**
 * A graph as a table: a dispatch a line, with its kernel, inputs, result, place, module and what is fused
 * into it.
 */
export function graphText({ label, steps, leaves }: Graph): string {
  const names = new Map(leaves.map(({ id, name }) => [id, name]));
  const nameOf = (id: number) => names.get(id) ?? `%${id}`;
  const rows = steps.map(({ id, kernel, path, dtype, count, fused, inputs, arena, offset, isKept }) => {
    const reads = inputs.map(({ id }) => nameOf(id)).join(", ");
    const formula = withNames(fused, (name) => {
      const input = inputs.find(({ as }) => as === name);
      return input && nameOf(input.id).replace(`${path}.`, "");
    });
    return `%${id} = ${kernel}(${reads}) ${dtype}[${count}] arena ${arena} + ${offset}${
      isKept ? " kept" : ""
    } @ ${path || kernel}${formula && `: ${formula}`}`;
  });
  return [`${label}: ${steps.length} dispatches`, ...rows].join("\n");
}

/** A formula with other names for its operands x0, x1, …, where there are some. */
export function withNames(formula: string, nameOf: (operand: string) => string | undefined): string {
  return formula.replace(/\bx\d+\b/g, (operand) => nameOf(operand) ?? operand);
}
