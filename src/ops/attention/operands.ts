import maskAdded from "../../../shaders/attention/lib/mask.wgsl" with { type: "text" };
import maskNone from "../../../shaders/attention/lib/mask_none.wgsl" with { type: "text" };
import paramsText from "../../../shaders/attention/lib/params.wgsl" with { type: "text" };
import readAny from "../../../shaders/attention/lib/read_any.wgsl" with { type: "text" };
import readVec4 from "../../../shaders/attention/lib/read_vec4.wgsl" with { type: "text" };
import type { Shape } from "../../core/shape.ts";
import { type Snippet, snippet, type Tensor } from "../../tensor/mod.ts";

/** Options of `attention`. */
export interface AttentionOptions {
  /** Factor on q · k; by default 1 / √D. */
  scale?: number | undefined;
  /** Query i sees keys 0 to i only. */
  causal?: boolean | undefined;
  /**
   * Added to the scores before the softmax; broadcast to [B, H, L, S]. A query whose scores are all −∞ gets 0, as from torch's
   * scaled_dot_product_attention.
   */
  mask?: Tensor | undefined;
}

/** Attention as its kernels take it. */
export interface Attention {
  /** [B, H, L, D], channels side by side in memory. */
  readonly q: Tensor;
  /** [B, H / group, S, D], channels side by side in memory. */
  readonly k: Tensor;
  /** [B, H / group, S, columns], columns side by side in memory. */
  readonly v: Tensor;
  /** [B, H, L, S], axes that it repeats with stride 0. */
  readonly mask?: Tensor | undefined;
  readonly scale: number;
  readonly causal: boolean;
}

/** The sizes of attention, by the names that its shaders have for them. */
export function sizesOf({ q, k, v }: Attention): {
  batch: readonly [number, number];
  queries: number;
  keys: number;
  width: number;
  columns: number;
} {
  const [B, H, queries, width] = q.shape as Shape<4>;
  return { batch: [B, H], queries, keys: k.shape[2]!, width, columns: v.shape[3]! };
}

/** `struct Params` of all forms, and which keys a query sees. */
export const PARAMS = snippet("attention/lib/params", paramsText);
const READ = {
  any: snippet("attention/lib/read_any", readAny, [PARAMS]),
  vec4: snippet("attention/lib/read_vec4", readVec4, [PARAMS]),
};
const MASK = {
  none: snippet("attention/lib/mask_none", maskNone),
  added: snippet("attention/lib/mask", maskAdded, [PARAMS]),
};

/** The snippets through which forms read queries, keys, values and mask, and what to set in them. */
export function operandsOf(a: Attention): { code: Snippet[]; set: Record<string, string> } {
  const { q, k, v, mask } = a;
  const { width, columns } = sizesOf(a);
  // Along an axis of 1 any stride will do.
  const rows = [q, k, v].flatMap((
    t,
  ) => [t.offset, ...t.strides.slice(0, 3).filter((_, i) => t.shape[i]! > 1)]);
  const whole = [width, columns, ...rows].every((n) => n % 4 === 0);
  return {
    code: [READ[whole ? "vec4" : "any"], MASK[mask ? "added" : "none"]],
    set: {
      QType: q.dtype,
      KType: k.dtype,
      VType: v.dtype,
      ...(mask ? { MaskType: mask.dtype } : {}),
    },
  };
}

/** The members of `struct Params`: see attention/lib/params. */
export function paramsOf(a: Attention): Record<string, number> {
  const { q, k, v, mask, scale, causal } = a;
  const { batch: [B, H], queries, keys, width, columns } = sizesOf(a);
  const [m0, m1, mRow, mKey] = mask?.strides ?? [0, 0, 0, 0];
  return {
    z: B * H,
    z1: H,
    group: H / k.shape[1]!,
    queries,
    keys,
    width,
    columns,
    causal: Number(causal),
    scale,
    q_offset: q.offset,
    q_z0: q.strides[0]!,
    q_z1: q.strides[1]!,
    q_row: q.strides[2]!,
    k_offset: k.offset,
    k_z0: k.strides[0]!,
    k_z1: k.strides[1]!,
    k_row: k.strides[2]!,
    v_offset: v.offset,
    v_z0: v.strides[0]!,
    v_z1: v.strides[1]!,
    v_row: v.strides[2]!,
    mask_offset: mask?.offset ?? 0,
    mask_z0: m0!,
    mask_z1: m1!,
    mask_row: mRow!,
    mask_key: mKey!,
  };
}
