/** Kernels that the workbench runs: those of a model, or of operators on a given shape. */
import { type Tensor, zeros } from "denoise";
import { attention, conv2d, groupNorm, layerNorm, linear, softmax } from "denoise/ops";
import { Kernel, type Node } from "../../src/graph/node.ts";
import { type Problem, problemOf } from "../../src/graph/tuning/bench.ts";

type Record = (dims: readonly number[], dtype: "f32" | "f16") => Tensor;

const zerosOf = (dtype: "f32" | "f16") => (...shape: number[]) => zeros(shape, { dtype });

/** What operators make of a shape, by its number of axes. */
const OPERATORS: readonly { readonly axes: string; readonly records: readonly Record[] }[] = [
  {
    axes: "ROWSxCOLUMNS",
    records: [
      (dims, dtype) => softmax(zeros(dims, { dtype })),
      (dims, dtype) => layerNorm(zeros(dims, { dtype }), null),
    ],
  },
  {
    axes: "MxKxN",
    records: [([M, K, N], dtype) => linear(zerosOf(dtype)(M!, K!), { weight: zerosOf(dtype)(N!, K!) })],
  },
  {
    axes: "BxCxHxW",
    records: [
      ([B, C, H, W], dtype) => groupNorm(image(B!, C!, H!, W!, dtype), {}, { groups: C! % 32 ? 1 : 32 }),
      ([B, C, H, W], dtype) =>
        conv2d(image(B!, C!, H!, W!, dtype), { weight: zerosOf(dtype)(C!, C!, 3, 3) }, { padding: 1 }),
    ],
  },
  {
    axes: "BxHEADSxQUERIESxKEYSxWIDTH",
    records: [([B, heads, queries, keys, width], dtype) => {
      const part = (N: number) => zerosOf(dtype)(B!, N, heads!, width!).permute([0, 2, 1, 3]);
      return attention(part(queries!), part(keys!), part(keys!));
    }],
  },
];

/** The kernels that operators record for a shape; nothing runs. */
export function kernelsOfShape(dims: readonly number[], dtype: "f32" | "f16"): Problem[] {
  const found = OPERATORS.find(({ axes }) => axes.split("x").length === dims.length);
  if (!found) {
    const all = OPERATORS.map(({ axes }) => axes).join(", ");
    throw new TypeError(`Cannot take --shape ${dims.join("x")}: expected ${all}`);
  }
  const problems: Problem[] = [];
  const visit = (node: Node) => {
    if (node instanceof Kernel) problems.push(problemOf(node));
    node.sources.forEach(visit);
  };
  for (const record of found.records) visit(record(dims, dtype).node);
  return problems;
}

function image(B: number, C: number, H: number, W: number, dtype: "f32" | "f16"): Tensor {
  return zeros([B, H, W, C], { dtype }).permute([0, 3, 1, 2]);
}
