import text from "../../../shaders/gemm/matrix.wgsl" with { type: "text" };
import main from "../../../shaders/lib/matrix_main.wgsl" with { type: "text" };
import mainSized from "../../../shaders/lib/matrix_main_sized.wgsl" with { type: "text" };
import units from "../../../shaders/lib/matrix_units.wgsl" with { type: "text" };
import type { Snippet } from "../../gpu/snippet.ts";
import type { MatrixConfig, Traits } from "../../gpu/traits.ts";
import { snippet } from "../../tensor/mod.ts";
import type { Form } from "../cost.ts";
import { eightsOf } from "./eights.ts";
import type { Gemm } from "./gemm.ts";
import { joinOf } from "./joins.ts";
import { paramsOf } from "./operands.ts";
import { withParts } from "./split.ts";

/** Names of matrices, by their sizes M, N and K. */
export const UNITS: Snippet = snippet("lib/matrix_units", units);
/** Entries of kernels on matrix units, which they call by `run`; `sized` where subgroups may have several sizes. */
export const MAIN: Readonly<Record<"fixed" | "sized", Snippet>> = {
  fixed: snippet("lib/matrix_main", main),
  sized: snippet("lib/matrix_main_sized", mainSized),
};
const BODY = snippet("gemm/matrix", text, [UNITS]);

/**
 * Tiles of workgroups: rows and columns of sums, channels at a time where memory is enough, and sums that a lane may hold. By
 * reading, how much of the units' speed each reaches, and how many a processor has room for.
 */
const TILES = [
  { rows: 128, columns: 128, depth: 32, most: 64, speed: 8, resident: 2 },
  { rows: 128, columns: 128, depth: 32, most: 128, speed: 7.9, resident: 2 },
  { rows: 128, columns: 64, depth: 64, most: 64, speed: 7, resident: 2 },
  { rows: 64, columns: 64, depth: 64, most: 64, speed: 5, resident: 4 },
  { rows: 32, columns: 32, depth: 32, most: 64, speed: 3, resident: 8 },
] as const;

/** Rows and columns of sums of a subgroup, the largest first. */
const OWN = [[64, 64], [64, 32], [32, 32], [16, 16]] as const;

/** For matrix units: f16 operands, sums in f32, every size of matrices that an adapter has. */
export const matrix: Form<Gemm> = (traits, g) => {
  const units = unitsOf(traits);
  if (!units) return [];
  const { m, n, k, taps = 1, batch: [z0, z1] } = g;
  const join = joinOf(g);
  const sets = g.gate ? 2 : 1;
  const { config: { M, N, K }, lanes } = units;
  return TILES.flatMap((tile) => {
    const { rows, columns, most, speed, resident } = tile;
    const form = formOf(tile, units, traits, sets);
    const eights = form && eightsOf(g, form.depth);
    if (!form || !eights) return [];
    const { own, depth, patch } = form;
    const steps = taps * Math.ceil(k / depth);
    const workgroups = Math.ceil(m / rows) * Math.ceil(n / (columns / sets)) * z0 * z1;
    const whole = {
      name: `gemm_matrix_${rows}x${columns}${most > 64 ? "_wide" : ""}`,
      code: [...eights.code, join.code, BODY, MAIN[traits.sizedSubgroups ? "sized" : "fixed"]],
      set: {
        ...eights.set,
        ...join.set,
        M,
        N,
        K,
        TILE_M: rows,
        TILE_N: columns,
        LANES: lanes,
        ROWS: own[0] / M,
        COLS: own[1] / N,
        PATCH: patch,
      },
      params: paramsOf(g),
      width: 4,
      workgroups,
    } as const;
    const rate = traits.software ? 0.02 : speed; // a driver's own units are slow
    const work = { workgroups, multiplyAdds: rows * columns * depth * steps, rate, resident };
    return withParts(traits, g, whole, work, steps);
  });
};

/** The matrices that products are made of, and the lanes of the subgroups that multiply them. */
export interface Units {
  /** Their sizes. */
  readonly config: MatrixConfig;
  /** Of a subgroup. */
  readonly lanes: number;
}

/** Of f16 with sums in f32. */
export function unitsOf(traits: Traits): Units | undefined {
  const config = traits.matrices
    .filter((c) => c.componentType === "f16" && c.resultComponentType === "f32")
    .sort((a, b) => b.M * b.N * b.K - a.M * a.N * a.K)[0];
  if (!config || !traits.subgroups) return undefined;
  const { min, max } = traits.subgroups;
  if (min !== max && !traits.sizedSubgroups) return undefined;
  // Intel's units take as many lanes as a matrix has columns: theirs alone are deeper than they are high.
  const lanes = config.M < config.K ? Math.min(max, Math.max(min, config.N)) : min;
  return { config, lanes };
}

/** How a tile is computed. */
interface TileForm {
  /** Rows and columns of sums of a subgroup. */
  readonly own: readonly [number, number];
  /** Channels at a time. */
  readonly depth: number;
  /** Matrices of a subgroup that are stored at a time. */
  readonly patch: number;
}

/**
 * The best form of a tile that an adapter takes: by 4 to 16 subgroups, of large tiles at least 8 where a lane holds few sums,
 * so that it loads little; each lane loading equally much; and whole subgroups of the largest size, as Dawn demands. Many
 * sums a lane are for NVIDIA alone, whose subgroups have one size and whose matrices are large: AMD's lanes hold operands
 * twice, and then have no registers left (Mesa's compiler spills). Windows has 32 KiB of memory where the same GPU has 64.
 */
function formOf(
  { rows, columns, depth: deepest, most }: typeof TILES[number],
  { config: { M, N }, lanes }: Units,
  traits: Traits,
  sets: 1 | 2,
): TileForm | undefined {
  const { invocations, workgroupMemory, subgroups: { max } = { max: lanes } } = traits;
  const own = OWN.find(([down, across]) => {
    const [subgroups, sums] = [rows / down * (columns / across), down * across / lanes];
    const isHeld = most > 64 ? traits.lanes === 32 && M * N > 64 && sums === most : sums <= most;
    const width = subgroups * lanes;
    return isHeld && subgroups >= (rows > 64 && most <= 64 ? 8 : 4) && subgroups <= 16 &&
      down % M === 0 && across % (2 * N) === 0 && width % max === 0 &&
      width <= invocations;
  });
  if (!own) return undefined;
  const subgroups = rows / own[0] * (columns / own[1]);
  return [deepest, 32].flatMap((depth) => [2, 1].map((patch) => ({ own, depth, patch })))
    .find(({ depth, patch }) =>
      patch >= sets && columns * depth / 8 % (subgroups * lanes) === 0 &&
      (rows + columns) * (depth + 8) * 2 + subgroups * patch * M * N * 4 <= workgroupMemory
    );
}
