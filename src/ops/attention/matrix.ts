import byColumn from "../../../shaders/attention/lib/values_by_column.wgsl" with { type: "text" };
import byKey from "../../../shaders/attention/lib/values_by_key.wgsl" with { type: "text" };
import text from "../../../shaders/attention/matrix.wgsl" with { type: "text" };
import { type Snippet, snippet } from "../../tensor/mod.ts";
import { costOf, type Form, type Guess } from "../cost.ts";
import { MAIN, UNITS, unitsOf } from "../gemm/matrix.ts";
import { type Attention, operandsOf, PARAMS, paramsOf, sizesOf } from "./operands.ts";

const BODY = snippet("attention/matrix", text, [PARAMS, UNITS]);
/** The order of values in workgroup memory: in runs as units load them, or as they come for units that take either way. */
export const VALUES: Readonly<Record<"byColumn" | "byKey", Snippet>> = {
  byColumn: snippet("attention/lib/values_by_column", byColumn),
  byKey: snippet("attention/lib/values_by_key", byKey),
};

/** Divisions of a workgroup's work: queries of a subgroup, keys of a tile, subgroups; with the speed reached on an H200. */
const TILES = [
  { rows: 16, keys: 32, subgroups: 4, speed: 5 },
  { rows: 16, keys: 48, subgroups: 4, speed: 4.8 },
  { rows: 32, keys: 32, subgroups: 4, speed: 4.4 },
  { rows: 16, keys: 64, subgroups: 4, speed: 4.2 },
  { rows: 16, keys: 16, subgroups: 4, speed: 4.1 },
] as const;
/** For software adapters, which take seconds to compile more. */
const SMALL = [{ rows: 8, keys: 16, subgroups: 2, speed: 0.02 }] as const;

const up = (n: number, unit: number) => Math.ceil(n / unit) * unit;
/** Elements of f16 from row to row: 16 bytes beyond a multiple of 32, so that eight neighbours fill all banks. */
const pitch = (n: number) => up(n - 8, 16) + 8;

/** On matrix units, for tensors of f16; sums in f32. */
export const matrix: Form<Attention> = (traits, a) => {
  const units = unitsOf(traits);
  if (!units || [a.q, a.k, a.v].some(({ dtype }) => dtype !== "f16")) return [];
  const { config: { M, N, K } } = units;
  // More lanes share what a matrix takes of registers, but for Intel's units.
  const lanes = M < K ? units.lanes : traits.subgroups!.max;
  const { batch: [B, H], queries, keys: S, width, columns } = sizesOf(a);
  const [whole, wide] = [up(width, K), up(columns, N)];
  const { code, set } = operandsOf(a);
  return (traits.software ? SMALL : TILES).flatMap(({ rows, keys, subgroups, speed }): Guess[] => {
    const parts = Math.max(1, Math.min(lanes / rows, keys / 4));
    const all = rows * subgroups;
    const scores = keys + 4 * parts; // rows of scores lie apart so that neighbouring lanes read other banks
    const inputs = Math.max(Math.max(keys, all) * pitch(whole), all * pitch(keys));
    const values = units.roomy ? keys * pitch(wide) : wide * pitch(keys);
    const bytes = 2 * (inputs + values) + 4 * all * (scores + 1) + 16;
    const fits = rows % M === 0 && keys % N === 0 && keys % K === 0 && bytes <= traits.workgroupMemory &&
      subgroups * lanes <= traits.invocations &&
      (traits.software ||
        registersOf(rows, keys, whole, wide, lanes, subgroups) <= (units.roomy ? 250 : 192));
    if (!fits) return [];
    const workgroups = B * H * Math.ceil(queries / all);
    return [{
      candidate: {
        name: `attention_matrix_${rows}x${keys}`,
        code: [
          ...code,
          VALUES[units.roomy ? "byKey" : "byColumn"],
          BODY,
          MAIN[traits.sizedSubgroups ? "sized" : "fixed"],
        ],
        set: {
          ...set,
          M,
          N,
          K,
          BLOCKS: rows / M,
          KEYS: keys,
          WIDTH: whole,
          COLUMNS: wide,
          PARTS: parts,
          SUBGROUPS: subgroups,
          LANES: lanes,
          WIDTH_PITCH: pitch(whole) / 4,
          KEYS_PITCH: pitch(keys) / 4,
          SCORES_PITCH: scores / 4,
        },
        params: paramsOf(a),
        width: 4,
        workgroups,
      },
      cost: costOf(traits, {
        workgroups,
        multiplyAdds: all * up(S, keys) * (whole + wide),
        rate: speed,
        resident: 2,
      }),
    }];
  });
};

/**
 * Registers that a lane needs at once: for matrices of sums, scores and queries, shares of scores, and values read
 * ahead. AMD's subgroups of 64 lanes have operands four times. Compiled for navi31, kernels of up to 192 spill
 * nothing, those of 216 do; on an H200 one of 240 takes 248 registers.
 */
function registersOf(
  rows: number,
  keys: number,
  width: number,
  columns: number,
  lanes: number,
  subgroups: number,
): number {
  const matrices = rows * (columns + keys + width / 2 * (lanes > 32 ? 4 : 1));
  return (matrices + rows * keys + keys * (width + columns) / subgroups) / lanes;
}
