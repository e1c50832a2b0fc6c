/** The kernels that operators record for a given shape. */
import { type Device, type Tensor, zeros } from "denoise";
import {
  attention,
  conv2d,
  groupNorm,
  interpolate,
  layerNorm,
  linear,
  softmax,
  upsampleNearest,
} from "denoise/ops";
import { Kernel, type Node } from "../../src/graph/node.ts";
import { streamOf } from "../../src/graph/run/stream.ts";
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
      (dims, dtype) => zeros(dims, { dtype }).sum(-1),
      (dims, dtype) => zeros(dims, { dtype }).argmax(-1),
      (dims, dtype) => zeros(dims, { dtype }).cumsum(-1),
      (dims, dtype) => zeros(dims, { dtype }).sort(-1).values,
      (dims, dtype) => zeros(dims, { dtype }).quantile(0.5, -1),
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
      ([B, C, H, W], dtype) => upsampleNearest(image(B!, C!, H!, W!, dtype), {}),
      ([B, C, H, W], dtype) =>
        interpolate(image(B!, C!, H!, W!, dtype), { scaleFactor: 2, mode: "bilinear" }),
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

/** A shape for each row of the table. */
export const EXAMPLES: readonly string[] = ["64x77", "64x320x320", "1x32x16x16", "1x8x64x77x40"];

/** The kernels that operators record for a shape such as "64x320x320"; nothing runs. */
export function kernelsOfShape(device: Device, shape: string, dtype: "f32" | "f16"): Problem[] {
  const dims = shape.split(/[x×]/).map(Number);
  const found = OPERATORS.find(({ axes }) => axes.split("x").length === dims.length);
  if (!found || !/^\d[\dx×]*$/.test(shape) || !dims.every((n) => Number.isSafeInteger(n) && n > 0)) {
    const all = OPERATORS.map(({ axes }) => axes).join(", ");
    throw new TypeError(`Cannot take --shape ${shape}: expected whole numbers as ${all}`);
  }
  const kernels = new Set<Kernel>();
  const most = Math.min(device.limits.maxStorageBufferBindingSize, device.limits.maxBufferSize);
  const visit = (node: Node) => {
    if (node.bytes > most) {
      throw new RangeError(
        `Cannot take --shape ${shape}: expected tensors of at most ${most} bytes, as the GPU takes them, got ${node.bytes}`,
      );
    }
    if (node instanceof Kernel) kernels.add(node);
    node.sources.forEach(visit);
  };
  for (const record of found.records) visit(streamOf(device).dryRun(() => record(dims, dtype)).node);
  return [...kernels].map((kernel) => problemOf(kernel));
}

function image(B: number, C: number, H: number, W: number, dtype: "f32" | "f16"): Tensor {
  return zeros([B, H, W, C], { dtype }).permute([0, 3, 1, 2]);
}
