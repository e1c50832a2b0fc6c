import text from "../../../shaders/gemm_matrix.wgsl" with { type: "text" };
import main from "../../../shaders/lib/matrix_main.wgsl" with { type: "text" };
import mainSized from "../../../shaders/lib/matrix_main_sized.wgsl" with { type: "text" };
import units from "../../../shaders/lib/matrix_units.wgsl" with { type: "text" };
import type { MatrixConfig, Traits } from "../../gpu/traits.ts";
import { snippet } from "../../tensor/mod.ts";
import { costOf } from "./cost.ts";
import { eightsOf } from "./eights.ts";
import { joinOf } from "./joins.ts";
import { paramsOf } from "./operands.ts";
import type { Form } from "./select.ts";

const BODY = snippet("gemm_matrix", text, [snippet("lib/matrix_units", units)]);
const MAIN = {
  fixed: snippet("lib/matrix_main", main),
  sized: snippet("lib/matrix_main_sized", mainSized),
};

/** Rows and columns of sums of a workgroup and of a subgroup in it, and how much of the units' speed it reaches by reading. */
const TILES = [
  { tile: [128, 128], own: [64, 64], speed: 8 },
  { tile: [128, 64], own: [64, 32], speed: 7 },
  { tile: [64, 64], own: [32, 32], speed: 5 },
  { tile: [32, 32], own: [16, 16], speed: 3 },
] as const;

/** For matrix units: f16 operands, sums in f32, every size of matrices that an adapter has. */
export const matrix: Form = (traits, g) => {
  const units = unitsOf(traits);
  const code = eightsOf(g);
  if (!units || !code) return [];
  const { m, n, k, taps = 1, batch: [z0, z1] } = g;
  const join = joinOf(g);
  const sets = g.gate ? 2 : 1;
  const { config: { M, N, K }, lanes } = units;
  return TILES.filter((tile) => fits(tile, units, traits)).map(({ tile: [rows, columns], own, speed }) => {
    const workgroups = Math.ceil(m / rows) * Math.ceil(n / (columns / sets)) * z0 * z1;
    return {
      candidate: {
        name: `gemm_matrix_${rows}x${columns}`,
        code: [...code, join.code, BODY, MAIN[traits.sizedSubgroups ? "sized" : "fixed"]],
        set: {
          ...join.set,
          M,
          N,
          K,
          TILE_M: rows,
          TILE_N: columns,
          LANES: lanes,
          ROWS: own[0] / M,
          COLS: own[1] / N,
        },
        params: paramsOf(g),
        width: 4,
        workgroups,
      },
      cost: costOf(traits, {
        workgroups,
        multiplyAdds: rows * columns * Math.ceil(k / 32) * 32 * taps,
        rate: traits.software ? 0.02 : speed,
        resident: 2,
      }),
    };
  });
};

/** The matrices that f16 products with f32 sums are made of, and the lanes of the subgroups that multiply them. */
function unitsOf(traits: Traits): { config: MatrixConfig; lanes: number } | undefined {
  const config = traits.matrices
    .filter((c) => c.componentType === "f16" && c.resultComponentType === "f32")
    .sort((a, b) => b.M * b.N * b.K - a.M * a.N * a.K)[0];
  if (!config || !traits.subgroups) return undefined;
  const { min, max } = traits.subgroups;
  if (min !== max && !traits.sizedSubgroups) return undefined;
  // Intel's units take as many lanes as a matrix has columns: theirs alone are deeper than they are high.
  const lanes = config.M < config.K ? Math.min(max, Math.max(min, config.N)) : max;
  return { config, lanes };
}

/** Whether a tile is made of whole pairs of matrices, of not too many to hold, and its workgroups are possible. */
function fits(
  { tile, own }: typeof TILES[number],
  { config: { M, N }, lanes }: { config: MatrixConfig; lanes: number },
  { invocations, workgroupMemory }: Traits,
): boolean {
  const subgroups = tile[0] / own[0] * (tile[1] / own[1]);
  const bytes = (tile[0] + tile[1]) * 40 * 2 + subgroups * M * N * 8;
  return own[0] % M === 0 && own[1] % (2 * N) === 0 && own[0] * own[1] / lanes <= 128 &&
    subgroups * lanes <= invocations && bytes <= workgroupMemory;
}
