import type { Tensor } from "denoise";
import type { Tuple } from "../../src/core/shape.ts";
import type { Candidate } from "../../src/graph/node.ts";
import { recordAttention } from "../../src/ops/attention/attention.ts";
import type { Attention } from "../../src/ops/attention/operands.ts";
import type { Form } from "../../src/ops/cost.ts";
import type { AttentionOptions } from "../../src/ops/mod.ts";
import { Dice } from "./dice.ts";
import { Nd } from "./nd.ts";
import { assertTensor } from "./tensors.ts";

const BOUND = 3e-6;

/** softmax(scale · q kᵀ + mask) v by loops, for one row of the scores. */
export function attendedRow(
  q: Nd,
  k: Nd,
  v: Nd,
  [b, h, i]: number[],
  { scale, causal }: AttentionOptions,
  mask?: Nd,
): number[] {
  const [S, D] = k.shape.slice(2) as [number, number];
  const own = Math.floor(h! * k.shape[1]! / q.shape[1]!); // head of keys and values
  const scores = Array.from({ length: S }, (_, j) => {
    if (causal && j > i!) return -Infinity;
    let sum = 0;
    for (let d = 0; d < D; d++) sum += q.at([b!, h!, i!, d]) * k.at([b!, own, j, d]);
    return sum * (scale ?? 1 / Math.sqrt(D)) + (mask?.at([b!, h!, i!, j]) ?? 0);
  });
  const peak = Math.max(...scores);
  if (peak === -Infinity) return Array.from({ length: v.shape[3]! }, () => 0); // as torch's
  const powers = scores.map((score) => Math.exp(score - peak));
  const total = powers.reduce((a, b) => a + b, 0);
  return Array.from(
    { length: v.shape[3]! },
    (_, d) => powers.reduce((sum, power, j) => sum + power * v.at([b!, own, j, d]), 0) / total,
  );
}

/** softmax(scale · q kᵀ + mask) v by loops. */
export const attended = (q: Nd, k: Nd, v: Nd, options: AttentionOptions = {}, mask?: Nd): Nd =>
  Nd.from(
    [...q.shape.slice(0, 3), v.shape[3]!],
    ([b, h, i, d]) => attendedRow(q, k, v, [b!, h!, i!], options, mask)[d!]!,
  );

/** Sizes that `checkForm` takes. */
export interface FormCase {
  D: number;
  columns: number;
  L?: number;
  S?: number;
  causal?: boolean;
  scale?: number;
  mask?: number[];
  /** Heads of queries that share one of keys and values; 1 by default. */
  group?: number;
  /** "f32" by default. */
  dtype?: "f16" | "f32";
}

/**
 * How far attention of f16 may be from its reference: powers of scores and outputs are rounded to f16 (2^-11 of the largest
 * value each), scores are sums of D exact products in f32 (2^-24 of their terms, which are at most 4 √D together when scaled,
 * times √D as roundings differ in sign), and an error e of all scores moves an output by at most 2 e of the largest value.
 */
export const f16Bound = (D: number): number => 2 ** -10 + D * 2 ** -21;

/** Attention by the first kernel of a form, changed as a test wants it. Throws where the form is not right. */
export function byForm(
  form: Form<Attention>,
  a: Attention,
  change: (c: Candidate) => Candidate = (c) => c,
): Tensor {
  const [guess] = form(a.q.device.traits, a);
  if (!guess) throw new Error(`Cannot attend with ${a.q}: expected a form that is right, got none`);
  return recordAttention([change(guess.candidate)], a);
}

/** Checks a form on heads that lie side by side in memory, with and without large scores. */
export async function checkForm(
  form: Form<Attention>,
  { D, columns, L = 70, S = 150, causal = false, scale = D ** -0.5, mask, group = 1, dtype = "f32" }:
    FormCase,
  change?: (c: Candidate) => Candidate,
): Promise<void> {
  const dice = new Dice(74);
  const [B, H] = [2, 2 * group];
  const packed = [[L, H, D], [S, 2, D], [S, 2, columns]].map((sizes) =>
    Nd.random(dice, [B, ...sizes]).map((x) => dtype === "f16" ? Math.f16round(x) : x)
  );
  const [q, k, v] = packed.map((nd) => nd.permute([0, 2, 1, 3])) as [Nd, Nd, Nd];
  const tensors = packed.map((nd) => nd.upload().to(dtype).permute([0, 2, 1, 3])) as Tuple<Tensor, 3>;
  const added = mask && Nd.random(dice, mask, 30).map((v) => v > 20 ? -Infinity : Math.fround(v));
  const a: Attention = {
    q: tensors[0],
    k: tensors[1],
    v: tensors[2],
    mask: added?.upload().expand([B, H, L, S]),
    scale,
    causal,
  };
  const what = `width ${D}, ${columns} columns, ${L} queries, ${S} keys`;
  const want = attended(q, k, v, { causal, scale }, added);
  const largest = (nd: Nd) => Array.from(nd.data, Math.abs).reduce((a, b) => b > a ? b : a, 0);
  const bound = dtype === "f16" ? f16Bound(D) * largest(v) / largest(want) : BOUND;
  await assertTensor(byForm(form, a, change), want, bound, what);
}
