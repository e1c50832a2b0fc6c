import type { Shape } from "../../src/core/shape.ts";
import {
  attention,
  avgPool2d,
  conv2d,
  geglu,
  gelu,
  geluTanh,
  groupNorm,
  layerNorm,
  linear,
  quickGelu,
  relu,
  rmsNorm,
  rotary,
  sigmoid,
  silu,
  softmax,
  timestepEmbedding,
  upsampleNearest,
} from "../../src/ops/mod.ts";
import { fluxPosEmbed } from "../../src/models/flux_transformer_2d/pos_embed.ts";
import { type Tensor, tensor } from "../../src/mod.ts";
import { difference, type HostTensor, readTensors } from "../support/arrays.ts";
import { readJson } from "./json.ts";
import { inF16 } from "./precision.ts";
import { upload } from "../support/tensors.ts";
import { attempt, type Bound, compare, compareTensor, type Verdict } from "./verdict.ts";

interface OpCase {
  id: string;
  op: string;
  // deno-lint-ignore no-explicit-any
  args: Record<string, any>;
  inputs: string[];
  outputs: string[];
}

type Inputs = Record<string, Tensor>;
type Run = (inputs: Inputs, args: OpCase["args"], host: Record<string, HostTensor>) => Record<string, Tensor>;

/** An affine part from what a case has of it. */
const given = ({ weight, bias }: { weight: Tensor | undefined; bias?: Tensor | undefined }) => ({
  ...weight && { weight },
  ...bias && { bias },
});

const RUNS: Record<string, Run> = {
  conv2d: ({ x, weight, bias }, a) => ({
    y: conv2d(x!, { weight: weight!, ...bias && { bias } }, {
      stride: a["stride"],
      padding: a["pad_left_right_top_bottom"],
    }),
  }),
  group_norm: ({ x, weight, bias }, a) => {
    const y = groupNorm(x!, given({ weight, bias }), { groups: a["groups"], eps: a["eps"] });
    return { y, y_silu: silu(y) };
  },
  layer_norm: ({ x, weight, bias }, a) => ({ y: layerNorm(x!, given({ weight, bias }), { eps: a["eps"] }) }),
  rms_norm: ({ x, weight }, a) => ({ y: rmsNorm(x!, given({ weight }), { eps: a["eps"] }) }),
  activations: ({ x }) => ({
    silu: silu(x!),
    gelu_exact: gelu(x!),
    gelu_tanh: geluTanh(x!),
    quick_gelu: quickGelu(x!),
    relu: relu(x!),
    sigmoid: sigmoid(x!),
  }),
  geglu: ({ x }) => ({ y: geglu(x!) }),
  softmax: ({ x }, a) => ({ y: softmax(x!, a["dim"]) }),
  attention: ({ q, k, v, mask }, a) => ({ y: attention(q!, k!, v!, { causal: a["causal"], mask }) }),
  linear: ({ x, weight, bias }) => ({ y: linear(x!, { weight: weight!, ...bias && { bias } }) }),
  upsample_nearest: ({ x }, a) => ({
    y: upsampleNearest(x!, a["size"] ? { size: a["size"] } : { scale: a["scale"] }),
  }),
  avg_pool2d: ({ x }, a) => ({ y: avgPool2d(x!, { kernel: a["kernel"], stride: a["stride"] }) }),
  timestep_embedding: (_, a, { t }) => ({
    y: timestepEmbedding([...t!.data], {
      dim: a["dim"],
      flipSinToCos: a["flip_sin_to_cos"],
      downscaleFreqShift: a["downscale_freq_shift"],
      scale: a["scale"],
      maxPeriod: a["max_period"],
    }),
  }),
  ada_layer_norm: ({ x, scale, shift }, a) => ({
    y: layerNorm(x!, null, { eps: a["eps"] }).mul(scale!.unsqueeze(1).add(1)).add(shift!.unsqueeze(1)),
  }),
  flux_rope: ({ x }, a, { ids }) => {
    const [tokens, axes] = ids!.shape as Shape<2>;
    const rows = Array.from({ length: tokens }, (_, i) => [...ids!.data.subarray(i * axes, (i + 1) * axes)]);
    const tables = fluxPosEmbed(rows, a["axes_dims"]);
    const [cos, sin] = [tables.cos, tables.sin].map((table) =>
      tensor(table, [tokens, table.length / tokens])
    ) as [Tensor, Tensor];
    const twice = (t: Tensor) => t.unsqueeze(2).expand([-1, -1, 2]).reshape([tokens, -1]); // as diffusers has them
    const heads = (t: Tensor) => t.permute([0, 2, 1, 3]); // [B, L, H, D] and [B, H, L, D]
    return { cos: twice(cos), sin: twice(sin), y: heads(rotary(heads(x!), cos, sin)) };
  },
};

/** Of the one case whose output is the noise over a large mean; all others are relative. */
const LARGE_MEAN_BOUND = { abs: 5e-3 };
const BOUND = { rel: 1e-5 };

/** Operators against torch: `ops/expected/ops.safetensors`, described by its meta.json. */
export async function* ops(folder: string): AsyncGenerator<Verdict, void, void> {
  const { cases } = await readJson<{ cases: OpCase[] }>(`${folder}/expected/meta.json`);
  const tensors = await readTensors(`${folder}/expected/ops.safetensors`);
  for (const { id, op, args, inputs, outputs } of cases) {
    const bound = id.includes("large_mean") ? LARGE_MEAN_BOUND : BOUND;
    const host = Object.fromEntries(inputs.map((name) => [name, tensors.get(`${id}/${name}`)!]));
    const run = (name: string, given: (values: HostTensor) => Tensor) =>
      RUNS[op]!(Object.fromEntries(inputs.map((key) => [key, given(host[key]!)])), args, host)[name]!;
    for (const name of outputs) {
      const [output, want] = [`${id}/${name}`, tensors.get(`${id}/${name}`)!];
      if (!(op in RUNS)) yield { id: output, status: "skipped", note: `${op} is not built yet` };
      else {
        yield await attempt(
          output,
          () =>
            inF16()
              ? compareHalves(output, (given) => run(name, given), want, bound)
              : compareTensor(output, run(name, upload), want, bound),
        );
      }
    }
  }
}

/** Change of a result, of its largest value, by rounded inputs alone that leaves nothing to be judged. */
const LOST = 0.1;

/**
 * The verdict on an operator in f16. What rounding its inputs does to the result is no matter of the operator: it is
 * measured in f32, and added to the bound.
 */
async function compareHalves(
  id: string,
  run: (given: (values: HostTensor) => Tensor) => Tensor,
  want: HostTensor,
  bound: Bound,
): Promise<Verdict> {
  const rounded = await run((values) => upload(values, "f16").cast("f32")).data();
  const { rel } = difference(rounded, want.data);
  if (rel > LOST) return { id, status: "skipped", note: "f16 does not hold inputs like these" };
  const largest = want.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const halves = run((values) => upload(values, "f16"));
  const got = await halves.data(); // its dispatches are the last
  const off = { rel: rel + ("abs" in bound ? bound.abs / largest : bound.rel) };
  return halves.dtype === "f16"
    ? await compareTensor(id, halves, want, off)
    : compare(id, got, want.data, off); // tables, in f32 whatever the dtype
}
