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
  sigmoid,
  silu,
  softmax,
  timestepEmbedding,
  upsampleNearest,
} from "../../src/ops/mod.ts";
import { type Tensor, tensor } from "../../src/tensor/mod.ts";
import { difference, type HostTensor, readTensors } from "../support/arrays.ts";
import { attempt, type Verdict, within } from "./verdict.ts";

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

const RUNS: Record<string, Run> = {
  conv2d: ({ x, weight, bias }, a) => ({
    y: conv2d(x, { weight, bias }, { stride: a.stride, padding: a.pad_left_right_top_bottom }),
  }),
  group_norm: ({ x, weight, bias }, a) => {
    const y = groupNorm(x, { weight, bias }, { groups: a.groups, eps: a.eps });
    return { y, y_silu: silu(y) };
  },
  layer_norm: ({ x, weight, bias }, a) => ({ y: layerNorm(x, { weight, bias }, { eps: a.eps }) }),
  rms_norm: ({ x, weight }, a) => ({ y: rmsNorm(x, { weight }, { eps: a.eps }) }),
  activations: ({ x }) => ({
    silu: silu(x),
    gelu_exact: gelu(x),
    gelu_tanh: geluTanh(x),
    quick_gelu: quickGelu(x),
    relu: relu(x),
    sigmoid: sigmoid(x),
  }),
  geglu: ({ x }) => ({ y: geglu(x) }),
  softmax: ({ x }, a) => ({ y: softmax(x, a.dim) }),
  attention: ({ q, k, v, mask }, a) => ({ y: attention(q, k, v, { causal: a.causal, mask }) }),
  linear: ({ x, weight, bias }) => ({ y: linear(x, { weight, bias }) }),
  upsample_nearest: ({ x }, a) => ({ y: upsampleNearest(x, a.size ? { size: a.size } : { scale: a.scale }) }),
  avg_pool2d: ({ x }, a) => ({ y: avgPool2d(x, { kernel: a.kernel, stride: a.stride }) }),
  timestep_embedding: (_, a, { t }) => ({
    y: timestepEmbedding([...t.data], {
      dim: a.dim,
      flipSinToCos: a.flip_sin_to_cos,
      downscaleFreqShift: a.downscale_freq_shift,
      scale: a.scale,
      maxPeriod: a.max_period,
    }),
  }),
  ada_layer_norm: ({ x, scale, shift }, a) => ({
    y: layerNorm(x, null, { eps: a.eps }).mul(scale.unsqueeze(1).add(1)).add(shift.unsqueeze(1)),
  }),
};

/** Absolute bound of the one case whose output is noise over a large mean; all others are relative. */
const LARGE_MEAN = 5e-3;
const TOLERANCE = 1e-5;

/** Operators against torch: `ops/expected/ops.safetensors`, described by its meta.json. */
export async function* ops(folder: string): AsyncGenerator<Verdict, void, void> {
  const { cases }: { cases: OpCase[] } = JSON.parse(await Deno.readTextFile(`${folder}/expected/meta.json`));
  const tensors = await readTensors(`${folder}/expected/ops.safetensors`);
  for (const { id, op, args, inputs, outputs } of cases) {
    const run = RUNS[op];
    if (!run) {
      yield { family: "ops", id, status: "skipped", note: `operator ${op} is not built yet` };
      continue;
    }
    const host = Object.fromEntries(inputs.map((name) => [name, tensors.get(`${id}/${name}`)!]));
    for (const name of outputs) {
      yield await attempt("ops", `${id}/${name}`, async () => {
        const given = Object.fromEntries(
          Object.entries(host).map(([key, { data, shape }]) => [key, tensor([...data], shape)]),
        );
        const expected = tensors.get(`${id}/${name}`)!;
        const result = run(given, args, host)[name];
        const d = difference(await result.data(), expected.data);
        const shape = `[${result.shape}] for [${expected.shape}]`;
        const bad = String(result.shape) !== String(expected.shape);
        if (bad) return { family: "ops", id: `${id}/${name}`, status: "failed", note: `shape ${shape}` };
        const large = id.includes("large_mean");
        return within("ops", `${id}/${name}`, large ? d.abs : d.rel, large ? LARGE_MEAN : TOLERANCE, `worst at ${d.index}`);
      });
    }
  }
}
