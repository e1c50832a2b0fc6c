import { cat, type Tensor, tensor } from "denoise";
import { attention, linear } from "denoise/ops";
import { fluxPosEmbed } from "../src/models/flux_transformer_2d/pos_embed.ts";
import {
  fluxSingleTransformerBlock,
  fluxTransformerBlock,
} from "../src/models/flux_transformer_2d/blocks.ts";
import type { Case } from "./cases.ts";
import { noise, noiseTensor } from "./random.ts";

const D = 3072;
const HEADS = 24;
const AXES = [16, 56, 56];
const STEPS = 28;

/** Blocks of FLUX.1 at their real width, on fewer tokens where the adapter is a CPU, and what their time goes into. */
export function fluxCases({ software }: { software: boolean }): Case[] {
  const tokens = software ? { image: 256, text: 64 } : { image: 4096, text: 512 };
  const dtype = software ? "f32" : "f16";
  return [
    attentionCase(tokens.image + tokens.text, dtype),
    modulationCase(),
    blockCase("dual", tokens, dtype),
    blockCase("single", tokens, dtype),
  ];
}

type Activations = "f32" | "f16";

/** One layer's part of what `FluxTransformer2DModel.condition` computes for all steps. */
function modulationCase(): Case {
  return {
    group: "flux",
    name: `FLUX modulation ${STEPS}×${D} → ${6 * D}`,
    problem: { op: "linear", rows: STEPS, widths: [D, 6 * D] },
    flops: 12 * STEPS * D ** 2,
    bytes: 12 * D ** 2 + 4 * 7 * STEPS * D,
    layers: 1,
    prepare() {
      const x = noiseTensor([STEPS, D]);
      const w = layer(6 * D, D, "f32");
      return () => linear(x, w);
    },
  };
}

function attentionCase(tokens: number, dtype: Activations): Case {
  const width = D / HEADS;
  return {
    group: "flux",
    name: `attention ${HEADS} × ${tokens}×${width}, ${tokens} keys`,
    problem: { op: "attention", heads: HEADS, queries: tokens, keys: tokens, width },
    flops: 4 * tokens ** 2 * D,
    bytes: (dtype === "f16" ? 8 : 16) * tokens * D,
    layers: 1,
    prepare() {
      const split = () => noiseTensor([1, tokens, HEADS, width]).cast(dtype).permute([0, 2, 1, 3]);
      const [q, k, v] = [split(), split(), split()];
      return () => attention(q, k, v);
    },
  };
}

/** A dual block keeps two streams of its own, a single one both in one; weights are f16 on any adapter. */
function blockCase(
  kind: "dual" | "single",
  { image, text }: { image: number; text: number },
  dtype: Activations,
): Case {
  const tokens = image + text;
  const weights = (kind === "dual" ? 24 : 12) * D ** 2; // each stream has its own
  return {
    group: "flux",
    name: `FLUX ${kind} block, ${image} + ${text} tokens`,
    problem: { op: "flux", kind, image, text, width: D, heads: HEADS, axes: AXES },
    flops: 24 * tokens * D ** 2 + 4 * tokens ** 2 * D,
    bytes: 2 * weights + 8 * tokens * D,
    layers: 1,
    prepare() {
      const ids = [
        ...Array.from({ length: text }, () => [0, 0, 0]),
        ...Array.from({ length: image }, (_, i) => [0, Math.floor(i / 64), i % 64]),
      ];
      const tables = fluxPosEmbed(ids, AXES);
      const [cos, sin] = [tables.cos, tables.sin].map((table) => tensor(table, [tokens, D / HEADS / 2])) as [
        Tensor,
        Tensor,
      ];
      const options = { heads: HEADS, cos, sin, dtype };
      const told = (count: number) => noiseTensor([1, count * D], 0.3);
      const [c, x] = [noiseTensor([1, text, D]), noiseTensor([1, image, D])];
      if (kind === "single") {
        const w = {
          attn: attentionWeights(dtype),
          proj_mlp: layer(4 * D, D, dtype),
          proj_out: layer(D, 5 * D, dtype),
        };
        const [joined, vectors] = [noiseTensor([1, tokens, D]), told(3)];
        return () => fluxSingleTransformerBlock(joined, w, vectors, options);
      }
      const w = {
        attn: {
          ...attentionWeights(dtype),
          add_q_proj: layer(D, D, dtype),
          add_k_proj: layer(D, D, dtype),
          add_v_proj: layer(D, D, dtype),
          norm_added_q: norm(dtype),
          norm_added_k: norm(dtype),
          to_out: [layer(D, D, dtype)] as [ReturnType<typeof layer>],
          to_add_out: layer(D, D, dtype),
        },
        ff: { net: { 0: { proj: layer(4 * D, D, dtype) }, 2: layer(D, 4 * D, dtype) } },
        ff_context: { net: { 0: { proj: layer(4 * D, D, dtype) }, 2: layer(D, 4 * D, dtype) } },
      };
      const vectors = { norm1: told(6), norm1_context: told(6) };
      return () => cat(fluxTransformerBlock([c, x], w, vectors, options), 1); // so that both are wanted
    },
  };
}

function attentionWeights(dtype: Activations) {
  return {
    to_q: layer(D, D, dtype),
    to_k: layer(D, D, dtype),
    to_v: layer(D, D, dtype),
    norm_q: norm(dtype),
    norm_k: norm(dtype),
  };
}

function norm(dtype: Activations): { weight: Tensor } {
  return { weight: noiseTensor([D / HEADS]).cast(dtype) };
}

/** A dense layer [to, from] as models hold it: a matrix in f16, a bias in the type of activations. */
function layer(to: number, from: number, dtype: Activations): { weight: Tensor; bias: Tensor } {
  const weight = tensor(new Float16Array(noise(to * from, from ** -0.5)), [to, from]);
  return { weight, bias: noiseTensor([to], 0.1).cast(dtype) };
}
