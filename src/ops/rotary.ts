import { expectOptions } from "../core/error.ts";
import readAny from "../../shaders/lib/rotary_any.wgsl" with { type: "text" };
import readVec4 from "../../shaders/lib/rotary_vec4.wgsl" with { type: "text" };
import code from "../../shaders/rotary.wgsl" with { type: "text" };
import { sameNumbers, type Shape } from "../core/shape.ts";
import { recordKernel, snippet, type Tensor } from "../tensor/mod.ts";
import { lanesFor } from "./norm/lanes.ts";
import type { RowNormOptions } from "./norm/row_norm.ts";
import { RMS_FLOPS } from "./norm/flops.ts";

/** Operations for each element: two products and a sum for each half of a pair. */
const ROTARY_FLOPS = 3;
const ROTARY = snippet("rotary", code);
const READ = { vec4: snippet("lib/rotary_vec4", readVec4), any: snippet("lib/rotary_any", readAny) };

const MOST_ROWS = 4; // that a workgroup takes,
const MOST_HELD = 16; // where a lane's loads stay in registers

/** Heads to be normalised and rotated. */
export interface RotaryPart {
  /** [B, H, L, D] */
  x: Tensor;
  /** Weight of the norm [D]. */
  weight: Tensor;
}

/** Options of `rotary`. */
export interface RotaryOptions {
  /**
   * Which values of a head are pair i: "interleaved", 2 i and 2 i + 1, as in FLUX (the default), or "halves",
   * i and i + D / 2, as in Qwen and Llama.
   */
  pairs?: "interleaved" | "halves" | undefined;
}

/**
 * Rotates pairs of values by angles that encode positions (Su et al. 2021, https://arxiv.org/abs/2104.09864):
 * (a, b) → (a cos − b sin, b cos + a sin). x [B, H, L, D], cos and sin [L, D / 2] for all rows or [B, L, D / 2]
 * → [B, H, L, D], stored as [B, L, H, D].
 */
export function rotary(x: Tensor, cos: Tensor, sin: Tensor, options: RotaryOptions = {}): Tensor {
  expectOptions("rotate", options, ["pairs"]);
  return rotate([{ x, weight: cos }], cos, sin, { norm: false, eps: 0, pairs: options.pairs }); // a weight that is not read
}

/**
 * `rotary` behind an RMS norm of each head, x / √(mean(x²) + eps) · weight, in one dispatch. Of two parts,
 * say a text and a picture, the tokens are joined on the way: x [B, H, Lᵢ, D] → [B, H, ΣLᵢ, D].
 */
export function rmsNormRotary(
  parts: readonly [RotaryPart, RotaryPart?],
  cos: Tensor,
  sin: Tensor,
  options: RowNormOptions & RotaryOptions = {},
): Tensor {
  expectOptions("rotate", options, ["eps", "pairs"]);
  const { eps = 1e-6, pairs } = options;
  for (const { x, weight } of parts.filter((part) => part !== undefined)) {
    if (sameNumbers(weight.shape, x.shape.slice(-1))) continue;
    throw new RangeError(`Cannot normalise ${x} with ${weight}: expected a weight [${x.shape.at(-1)}]`);
  }
  return rotate(parts, cos, sin, { norm: true, eps, pairs });
}

function rotate(
  [one, two = one]: readonly [RotaryPart, RotaryPart?],
  cos: Tensor,
  sin: Tensor,
  { norm, eps, pairs = "interleaved" }: { norm: boolean; eps: number } & RotaryOptions,
): Tensor {
  const [B, H, , D] = one.x.shape as Shape<4>;
  const joined = two !== one;
  const first = joined ? one.x.shape[2]! : 0;
  const L = first + two.x.shape[2]!;
  for (const { x } of [one, two]) {
    const fits = x.rank === 4 && sameNumbers(x.shape, [B, H, x.shape[2]!, D]) && x.dtype === one.x.dtype;
    if (fits && D % 2 === 0) continue;
    throw new RangeError(
      `Cannot rotate ${x}: expected ${joined ? `[${B}, ${H}, L, ${D}]` : "[B, H, L, D]"}, D even`,
    );
  }
  for (const table of [cos, sin]) {
    const shape = table.rank === 3 ? [B, L, D / 2] : [L, D / 2];
    if (sameNumbers(table.shape, shape) && table.rank === cos.rank && table.dtype === "f32") continue;
    throw new RangeError(`Cannot rotate ${one.x} by ${table}: expected f32 [${shape.join(", ")}]`);
  }
  const [x0, x1] = [one.x, two.x].map((x) => x.strides[3] === 1 ? x : x.contiguous()) as [Tensor, Tensor];
  const weights = [one, two].map(({ weight }) => weight.contiguous());
  const numbers = [x0, x1].flatMap(({ offset, strides }) => [offset, ...strides.slice(0, 3)]);
  const halves = pairs === "halves";
  const whole = [halves ? D / 2 : D, ...numbers].every((n) => n % 4 === 0);
  const strides = [L * H * D, D, H * D, 1] as const; // [B, L, H, D]
  const lanes = lanesFor(x1.device.traits, Math.ceil(D / 4));
  const steps = Math.ceil(D / 4 / lanes.count);
  const rows = Math.max(1, Math.min(MOST_ROWS, Math.floor(MOST_HELD / steps)));
  return recordKernel(norm ? "rms_norm_rotary" : "rotary", {
    inputs: [x0, x1, ...weights, cos.contiguous(), sin.contiguous()],
    shape: [B, H, L, D],
    dtype: x1.dtype,
    layout: strides,
    strides,
    code: [READ[whole ? "vec4" : "any"], lanes.part, ROTARY],
    set: {
      X: whole ? `vec4<${x1.dtype}>` : x1.dtype,
      W: whole ? `vec4<${weights[0]!.dtype}>` : weights[0]!.dtype,
      A: whole ? "vec2f" : "f32",
      NORM: norm ? 1 : 0,
      HALVES: halves ? 1 : 0,
      WG: lanes.count,
      STEPS: steps,
      ROWS: rows,
    },
    params: {
      batches: B,
      heads: H,
      tokens: L,
      first,
      width: D,
      x0_offset: x0.offset,
      x0_batch: x0.strides[0]!,
      x0_head: x0.strides[1]!,
      x0_token: x0.strides[2]!,
      x1_offset: x1.offset,
      x1_batch: x1.strides[0]!,
      x1_head: x1.strides[1]!,
      x1_token: x1.strides[2]!,
      table: cos.rank === 3 ? L : 0,
      eps,
    },
    axes: [B, H, L, D],
    workgroups: Math.ceil(B * H * L / rows),
    flops: (ROTARY_FLOPS + (norm ? RMS_FLOPS + 1 : 0)) * B * H * L * D,
  });
}
