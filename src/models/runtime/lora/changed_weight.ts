import type { ChangeKind, LoraChange, Role } from "../../../io/lora/changes.ts";
import { einsum } from "../../../ops/mod.ts";
import type { Tensor } from "../../../tensor/mod.ts";

/** The tensors of a change in f32, by their roles. */
export type ChangeTensors = { readonly [role in Role | "rotations"]?: Tensor };

const EPS = 2 ** -23; // that LyCORIS adds to norms

/**
 * A weight as a change leaves it. weight [N, K], of a convolution with its inputs and taps as one axis; → [N, K].
 * `scale` is the adapter's.
 */
export function changedWeight(
  weight: Tensor,
  { kind, factor }: Pick<LoraChange, "kind" | "factor">,
  tensors: ChangeTensors,
  scale: number,
): Tensor {
  if (kind === "OFT" || kind === "BOFT") return rotated(weight, kind, tensors);
  const [N, K] = weight.shape as [number, number];
  const value = DELTAS[kind](tensors).reshape([N, K]);
  if (kind === "whole weight") return value; // at every scale, as in peft and ComfyUI
  const { dora_scale, lora_magnitude_vector } = tensors;
  if (lora_magnitude_vector) {
    const sum = weight.add(value.mul(factor * scale));
    return sum.mul(lora_magnitude_vector.reshape([N, 1]).div(lengths(sum)));
  }
  if (!dora_scale) return weight.add(value.mul(factor * scale));
  const sum = weight.add(value.mul(factor));
  return weight.lerp(scaledTo(sum, dora_scale), scale);
}

/**
 * DoRA (Liu et al. 2024, https://arxiv.org/abs/2402.09353) as LyCORIS writes it: magnitudes of the outputs [N, 1],
 * or of the input channels [1, C].
 */
function scaledTo(sum: Tensor, magnitudes: Tensor): Tensor {
  const [N, K] = sum.shape as [number, number];
  if (magnitudes.shape[0] === N) return sum.mul(magnitudes.reshape([N, 1]).div(lengths(sum).add(EPS)));
  const byInput = sum.reshape([N, magnitudes.size, -1]); // [N, C, taps]
  const norms = byInput.square().sum([0, 2], { keepdim: true }).sqrt();
  return byInput.mul(magnitudes.reshape([1, -1, 1]).div(norms.add(EPS))).reshape([N, K]);
}

/** Blocks of rows, or by peft of columns, multiplied by their rotations [blocks, b, b], of BOFT [stages, blocks, b, b]. */
function rotated(weight: Tensor, kind: "OFT" | "BOFT", { rotations, rescale, oft_R }: ChangeTensors): Tensor {
  const [N, K] = weight.shape as [number, number];
  const R = rotations!;
  const b = R.shape.at(-1)!;
  if (oft_R) return einsum("nrc,rkc->nrk", weight.reshape([N, -1, b]), R).reshape([N, K]);
  const rows = kind === "OFT" ? einsum("knm,knc->kmc", R, weight.reshape([-1, b, K])) : butterfly(weight, R);
  const result = rows.reshape([N, K]);
  return rescale ? result.mul(rescale.reshape([N, 1])) : result;
}

/** Stage i turns blocks of rows that are 2ⁱ b / 2 apart. */
function butterfly(weight: Tensor, R: Tensor): Tensor {
  const [b, K] = [R.shape.at(-1)!, weight.shape[1]!];
  let rows = weight;
  for (let i = 0; i < R.shape[0]!; i++) {
    const apart = 2 ** i * b / 2;
    const blocks = rows.reshape([-1, 2, apart, K]).permute([0, 2, 1, 3]).reshape([-1, b, K]);
    const turned = einsum("bij,bjc->bic", R.select(0, i), blocks);
    rows = turned.reshape([-1, apart, 2, K]).permute([0, 2, 1, 3]).reshape([-1, K]);
  }
  return rows;
}

/** Euclidean lengths of the rows. [N, 1] */
function lengths(rows: Tensor): Tensor {
  return rows.square().sum(1, { keepdim: true }).sqrt();
}

/** Values that each kind adds, or puts in place, in the order of a file: as many elements as the weight has. */
const DELTAS: Record<Exclude<ChangeKind, "OFT" | "BOFT">, (t: ChangeTensors) => Tensor> = {
  "difference": (t) => (t.diff ?? t.diff_b ?? t.up_bias)!,
  "whole weight": (t) => (t.set_weight ?? t.set_bias)!,
  LoRA: ({ down, up }) => rowsOf(up!).matmul(rowsOf(down!)),
  LoCon: ({ down, up, lora_mid }) => tucker(lora_mid!, rowsOf(up!).t(), rowsOf(down!)),
  /** (w1_a · w1_b) ⊙ (w2_a · w2_b) (Hyeon-Woo et al. 2021, https://arxiv.org/abs/2108.06098). */
  LoHa: (t) =>
    product(t.hada_w1_a!, t.hada_w1_b!, t.hada_t1).mul(product(t.hada_w2_a!, t.hada_w2_b!, t.hada_t2)),
  /** w1 ⊗ w2, Kronecker's product (Yeh et al. 2023, https://arxiv.org/abs/2309.14859). */
  LoKr: (t) => {
    const one = t.lokr_w1 ?? product(t.lokr_w1_a!, t.lokr_w1_b!);
    const two = rowsOf(t.lokr_w2 ?? product(t.lokr_w2_a!, t.lokr_w2_b!, t.lokr_t2));
    const [[a, b], [c, d]] = [one.shape as [number, number], two.shape as [number, number]];
    return one.reshape([a, 1, b, 1]).mul(two.reshape([1, c, 1, d])).reshape([a * c, b * d]);
  },
};

/** a · b, with a core aᵀ · core · b. */
function product(a: Tensor, b: Tensor, core?: Tensor): Tensor {
  return core ? tucker(core, a, b) : a.matmul(b);
}

/** Σ core[i, j, …] · a[i, n] · b[j, c] → [N, C, kh, kw] (Tucker's decomposition). */
function tucker(core: Tensor, a: Tensor, b: Tensor): Tensor {
  return einsum("ijhw,in,jc->nchw", core, a, b);
}

/** A tensor as the rows of a matrix, its other axes one after the other as in a file. */
function rowsOf(x: Tensor): Tensor {
  return x.reshape([x.shape[0]!, -1]);
}
