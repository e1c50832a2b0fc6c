import type { Shape, Tuple } from "../../core/shape.ts";
import broadcast from "../../../shaders/attention_broadcast.wgsl" with { type: "text" };
import tiled from "../../../shaders/attention_tiled.wgsl" with { type: "text" };
import maskAdded from "../../../shaders/lib/attention_mask.wgsl" with { type: "text" };
import maskNone from "../../../shaders/lib/attention_mask_none.wgsl" with { type: "text" };
import paramsText from "../../../shaders/lib/attention_params.wgsl" with { type: "text" };
import readAny from "../../../shaders/lib/attention_read_any.wgsl" with { type: "text" };
import readVec4 from "../../../shaders/lib/attention_read_vec4.wgsl" with { type: "text" };
import type { Device } from "../../gpu/device.ts";
import type { SourcePart } from "../../gpu/pipelines.ts";
import { recordKernel, type Tensor } from "../../tensor/mod.ts";
import type { AttentionOptions } from "./attention.ts";

const part = (name: string, text: string): SourcePart => ({ name: `shaders/${name}.wgsl`, text });

const PARAMS = part("lib/attention_params", paramsText);
const READ = {
  any: part("lib/attention_read_any", readAny),
  vec4: part("lib/attention_read_vec4", readVec4),
};
const MASK = {
  none: part("lib/attention_mask_none", maskNone),
  added: part("lib/attention_mask", maskAdded),
};

/** A kernel for attention in one dispatch. */
export interface AttentionForm {
  readonly name: string;
  readonly body: SourcePart;
  /** Of one workgroup. */
  readonly queries: number;
  /** Values for its `const` lines. */
  readonly set: Readonly<Record<string, number>>;
}

/** The form for GPUs; undefined where the adapter's workgroup memory is too small for so many columns of values. */
export function tiledForm(device: Device, columns: number): AttentionForm | undefined {
  const vectors = Math.ceil(columns / 4);
  const rows = [64, 32, 16].find((rows) => vectors * rows <= 40 * 64); // a lane then sums up at most 20 vectors
  if (!rows) return undefined;
  const keys = 2048 / rows;
  const chunk = rows === 16 ? 2 : vectors % 5 === 0 ? 5 : 4; // 5 leaves nothing over for heads of 40, 80 and 160
  const scored = (rows + keys) * (chunk | 1); // vectors staged for the scores
  const staged = [32, 16, 8, 4].find((n) => n * vectors <= Math.max(512, scored))!;
  const bytes = 16 * (Math.max(scored, staged * vectors) + rows * keys / 4) + 8 * 128;
  if (bytes > device.limits.maxComputeWorkgroupStorageSize) return undefined;
  const set = { ROWS: rows, COLUMNS: 4 * vectors, CHUNK: chunk, STAGED: staged };
  return { name: "attention_tiled", body: part("attention_tiled", tiled), queries: rows, set };
}

/** The form for software adapters with subgroups; undefined where there are none, or values are too wide for it. */
export function broadcastForm({ traits, limits }: Device, columns: number): AttentionForm | undefined {
  const { lanes } = traits;
  if (lanes !== 8 && lanes !== 16) return undefined; // where 32 are reported, 16 run: see gemm.ts
  const most = Math.floor(limits.maxComputeWorkgroupStorageSize / (16 * lanes) / 4) * 4;
  if (columns > most) return undefined;
  return {
    name: "attention_broadcast",
    body: part("attention_broadcast", broadcast),
    queries: 4 * lanes,
    set: { SG: lanes, MOST: most },
  };
}

/** Attention in one dispatch. q [B, H, L, D], k and v [B, H, S, D] → [B, H, L, D], stored as [B, L, H, D]. */
export function fusedAttention(
  form: AttentionForm,
  [q, k, v]: Readonly<Tuple<Tensor, 3>>,
  { scale, causal = false, mask }: AttentionOptions,
): Tensor {
  const [B, H, L, D] = q.shape as Shape<4>;
  const [S, columns] = [k.shape[2], v.shape[3]] as [number, number];
  const rows = [q, k, v].map((t) => t.strides[3] === 1 ? t : t.contiguous());
  const whole = [D, columns, ...rows.flatMap((t) => [t.offset, ...t.strides.slice(0, 3)])].every((n) =>
    n % 4 === 0
  );
  const added = mask?.expand([B, H, L, S]);
  const [qs, ks, vs, ms] = [...rows, added].map((t) => t?.strides ?? [0, 0, 0, 0]) as Tuple<
    readonly number[],
    4
  >;
  return recordKernel(form.name, {
    inputs: added ? [...rows, added] : rows,
    shape: [B, H, L, columns],
    dtype: q.dtype,
    layout: [L * H * columns, columns, H * columns, 1], // [B, L, H, D], as the layer behind wants it
    strides: [L * H * columns, columns, H * columns, 1],
    code: [PARAMS, MASK[added ? "added" : "none"], READ[whole ? "vec4" : "any"], form.body],
    set: { Q: q.dtype, K: k.dtype, V: v.dtype, ...(added ? { M: added.dtype } : {}), ...form.set },
    params: {
      z: B * H,
      z1: H,
      queries: L,
      keys: S,
      width: D,
      columns,
      causal: Number(causal),
      scale: scale ?? 1 / Math.sqrt(D),
      q_offset: rows[0]!.offset,
      q_z0: qs[0]!,
      q_z1: qs[1]!,
      q_row: qs[2]!,
      k_offset: rows[1]!.offset,
      k_z0: ks[0]!,
      k_z1: ks[1]!,
      k_row: ks[2]!,
      v_offset: rows[2]!.offset,
      v_z0: vs[0]!,
      v_z1: vs[1]!,
      v_row: vs[2]!,
      mask_offset: added?.offset ?? 0,
      mask_z0: ms[0]!,
      mask_z1: ms[1]!,
      mask_row: ms[2]!,
      mask_key: ms[3]!,
    },
    axes: [B, H, L, columns],
    workgroups: B * H * Math.ceil(L / form.queries),
    flops: 2 * B * H * L * S * (D + columns),
  });
}
