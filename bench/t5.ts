import { type Tensor, tensor } from "denoise";
import { t5Block } from "../src/models/t5_encoder/block.ts";
import type { Case } from "./cases.ts";
import { noise, noiseTensor } from "./random.ts";

/** A block of T5-XXL, FLUX's second text encoder, at its real width, on fewer tokens where the adapter is a CPU. */
export function t5Case({ software }: { software: boolean }): Case {
  const tokens = software ? 64 : 512;
  const dtype = software ? "f32" : "f16";
  const [width, hidden, heads, headWidth] = [4096, 10240, 64, 64];
  const inner = heads * headWidth;
  const weights = 4 * width * inner + 3 * width * hidden;
  return {
    group: "t5",
    name: `T5-XXL block, ${tokens} tokens`,
    problem: { op: "t5", tokens, width, hidden, heads, headWidth },
    flops: 2 * tokens * weights + 4 * tokens ** 2 * inner,
    bytes: 2 * weights + 8 * tokens * width,
    layers: 1,
    prepare() {
      const norm = { weight: noiseTensor([width]).cast(dtype) };
      const attention = {
        q: layer(inner, width),
        k: layer(inner, width),
        v: layer(inner, width),
        o: layer(width, inner),
      };
      const [wi_0, wi_1, wo] = [layer(hidden, width), layer(hidden, width), layer(width, hidden)];
      const w: Parameters<typeof t5Block>[1] = {
        layer: [
          { SelfAttention: attention, layer_norm: norm },
          { DenseReluDense: { wi: wi_0, wi_0, wi_1, wo }, layer_norm: norm },
        ],
      };
      const options = { heads, headWidth, hidden, act: "gelu_new", gated: true, eps: 1e-6, dtype } as const;
      const [x, bias] = [noiseTensor([1, tokens, width]), noiseTensor([1, heads, tokens, tokens])];
      return () => t5Block(x, w, bias, options);
    },
  };
}

/** A dense layer [to, from] as models hold it: in f16. */
function layer(to: number, from: number): { weight: Tensor } {
  return { weight: tensor(new Float16Array(noise(to * from, from ** -0.5)), [to, from]) };
}
