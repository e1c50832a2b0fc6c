import type { Tensor } from "denoise";
import type { Tuple } from "../../src/core/shape.ts";
import { type AttentionForm, fusedAttention } from "../../src/ops/attention/fused.ts";
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
  const scores = Array.from({ length: S }, (_, j) => {
    if (causal && j > i!) return -Infinity;
    let sum = 0;
    for (let d = 0; d < D; d++) sum += q.at([b!, h!, i!, d]) * k.at([b!, h!, j, d]);
    return sum * (scale ?? 1 / Math.sqrt(D)) + (mask?.at([b!, h!, i!, j]) ?? 0);
  });
  const peak = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - peak));
  const total = powers.reduce((a, b) => a + b, 0);
  return Array.from(
    { length: v.shape[3]! },
    (_, d) => powers.reduce((sum, power, j) => sum + power * v.at([b!, h!, j, d]), 0) / total,
  );
}

/** softmax(scale · q kᵀ + mask) v by loops. */
export const attended = (q: Nd, k: Nd, v: Nd, options: AttentionOptions = {}, mask?: Nd): Nd =>
  Nd.from(
    [...q.shape.slice(0, 3), v.shape[3]!],
    ([b, h, i, d]) => attendedRow(q, k, v, [b!, h!, i!], options, mask)[d!]!,
  );

/**
 * Checks a form on heads that lie side by side in memory,
 * of sizes beyond a tile, with and without large scores.
 */
export async function checkForm(
  form: AttentionForm,
  { D, columns, causal, mask }: { D: number; columns: number; causal?: boolean; mask?: number[] },
): Promise<void> {
  const dice = new Dice(74);
  const [B, H, L, S] = [2, 2, 70, 150];
  const packed = [[L, D], [S, D], [S, columns]].map(([n, width]) => Nd.random(dice, [B, n!, H, width!]));
  const [q, k, v] = packed.map((nd) => nd.permute([0, 2, 1, 3])) as [Nd, Nd, Nd];
  const tensors = packed.map((nd) => nd.upload().permute([0, 2, 1, 3])) as Tuple<Tensor, 3>;
  const added = mask && Nd.random(dice, mask, 30).map((v) => v > 20 ? -Infinity : Math.fround(v));
  const y = fusedAttention(form, tensors, { causal, mask: added?.upload() });
  const what = `${form.name} ${Object.values(form.set)}, width ${D}, ${columns} columns`;
  await assertTensor(y, attended(q, k, v, { causal }, added), BOUND, what);
}
