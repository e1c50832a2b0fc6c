import text from "../../../shaders/gemm/matrix.wgsl" with { type: "text" };
import main from "../../../shaders/lib/matrix_main.wgsl" with { type: "text" };
import mainSized from "../../../shaders/lib/matrix_main_sized.wgsl" with { type: "text" };
import units from "../../../shaders/lib/matrix_units.wgsl" with { type: "text" };
import type { Snippet } from "../../gpu/shader/snippet.ts";
import type { MatrixConfig, Traits } from "../../gpu/traits.ts";
import { snippet } from "../../tensor/mod.ts";
import type { Form } from "../cost.ts";
import { eightsOf } from "./eights.ts";
import { joinOf } from "./joins.ts";
import { paramsOf } from "./operands.ts";
import type { Gemm } from "./problem.ts";
import { withParts } from "./split.ts";

/** Names of matrices, by their sizes M, N and K. */
export const UNITS: Snippet = snippet("lib/matrix_units", units);
/** Entries of kernels on matrix units, which they call by `run`; `sized` where subgroups may have several sizes. */
export const MAIN: Readonly<Record<"fixed" | "sized", Snippet>> = {
  fixed: snippet("lib/matrix_main", main),
  sized: snippet("lib/matrix_main_sized", mainSized),
};
const BODY = snippet("gemm/matrix", text, [UNITS]);

/** The division of a tile among subgroups. */
interface Tile {
  /** In kernels' names. */
  readonly name: string;
  /** Size in sums. */
  readonly rows: number;
  readonly columns: number;
  /** Channels at a time where memory is enough. */
  readonly depth: number;
  /** Rows and columns of sums of a subgroup, for adapters whose lanes have room for many; by rule where there are none. */
  readonly own?: readonly [number, number];
  /** Its speed in times f32 arithmetic, measured on one H200, all tiles one after the other. */
  readonly speed: number;
  /** Workgroups that a processor has room for, by reading. */
  readonly resident: number;
}

const TILES: readonly Tile[] = [
  { name: "128x128_deep", rows: 128, columns: 128, depth: 64, own: [32, 64], speed: 11.3, resident: 1 },
  { name: "128x256_wide", rows: 128, columns: 256, depth: 32, own: [64, 64], speed: 10.9, resident: 1 },
  { name: "128x128_wide", rows: 128, columns: 128, depth: 32, own: [64, 64], speed: 9.5, resident: 1 },
  { name: "128x128", rows: 128, columns: 128, depth: 32, speed: 8, resident: 2 },
  { name: "128x64", rows: 128, columns: 64, depth: 64, speed: 7.9, resident: 2 },
  { name: "64x64", rows: 64, columns: 64, depth: 64, speed: 5, resident: 4 },
  { name: "32x32", rows: 32, columns: 32, depth: 32, speed: 3, resident: 8 },
];

/** Rows and columns of sums of a subgroup, the largest first, and how many sums a lane then holds at most. */
const OWN = [[64, 64], [64, 32], [32, 32], [16, 16]] as const;
const SUMS = 64;

/** For matrix units: f16 operands, sums in f32, every size of matrices that an adapter has. */
export const matrix: Form<Gemm> = (traits, g) => {
  const units = unitsOf(traits);
  if (!units) return [];
  const { m, n, k, taps = 1, batch: [z0, z1] } = g;
  const join = joinOf(g);
  const sets = g.gate ? 2 : 1;
  const { config: { M, N, K }, lanes } = units;
  return TILES.flatMap((tile) => {
    const { name, rows, columns, speed, resident } = tile;
    const form = formOf(tile, units, traits, sets);
    const eights = form && eightsOf(g, form.depth);
    if (!form || !eights) return [];
    const { own, depth, patch } = form;
    const steps = taps * Math.ceil(k / depth);
    const workgroups = Math.ceil(m / rows) * Math.ceil(n / (columns / sets)) * z0 * z1;
    const whole = {
      name: `gemm_matrix_${name}`,
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

/** The matrices that products are made of, and the subgroups that multiply them. */
export interface Units {
  /** Their sizes. */
  readonly config: MatrixConfig;
  /** Lanes of a subgroup. */
  readonly lanes: number;
  /**
   * True if a lane has room for many sums: on NVIDIA's GPUs, whose subgroups have one size and whose matrices are
   * large, at 255 registers. AMD's lanes hold operands twice, and then have none left (Mesa's compiler spills).
   */
  readonly roomy: boolean;
}

/** The adapter's matrix units for f16 with sums in f32. */
export function unitsOf(traits: Traits): Units | undefined {
  const config = traits.matrices
    .filter((c) => c.componentType === "f16" && c.resultComponentType === "f32")
    .sort((a, b) => b.M * b.N * b.K - a.M * a.N * a.K)[0];
  if (!config || !traits.subgroups) return undefined;
  const { min, max } = traits.subgroups;
  if (min !== max && !traits.sizedSubgroups) return undefined;
  // Intel's units take as many lanes as a matrix has columns: theirs alone are deeper than they are high.
  const lanes = config.M < config.K ? Math.min(max, Math.max(min, config.N)) : min;
  return { config, lanes, roomy: traits.lanes === 32 && config.M * config.N > 64 };
}

/** Settings by which a tile is computed. */
interface TileForm {
  /** Rows and columns of sums of a subgroup. */
  readonly own: readonly [number, number];
  /** Channels at a time. */
  readonly depth: number;
  /** Matrices of a subgroup that are stored at a time. */
  readonly patch: number;
}

/**
 * The best form of a tile that an adapter takes: by 4 to 16 subgroups, of large tiles at least 8, so that a lane loads little;
 * each lane loading equally much; and whole subgroups of the largest size, as Dawn demands. Windows has 32 KiB of memory where
 * the same GPU has 64.
 */
function formOf(
  { rows, columns, depth: deepest, own: fixed }: Tile,
  { config: { M, N }, lanes, roomy }: Units,
  traits: Traits,
  sets: 1 | 2,
): TileForm | undefined {
  const { invocations, workgroupMemory, subgroups: { max } = { max: lanes } } = traits;
  if (fixed && !roomy) return undefined;
  const least = rows > 64 && !fixed ? 8 : 4;
  const own = (fixed ? [fixed] : OWN).find(([down, across]) => {
    const subgroups = rows / down * (columns / across);
    const width = subgroups * lanes;
    return (fixed || down * across / lanes <= SUMS) && subgroups >= least && subgroups <= 16 &&
      down % M === 0 && across % (2 * N) === 0 && width % max === 0 &&
      width <= invocations;
  });
  if (!own) return undefined;
  const subgroups = rows / own[0] * (columns / own[1]);
  return [deepest, ...fixed ? [] : [32]].flatMap((depth) => [2, 1].map((patch) => ({ own, depth, patch })))
    .find(({ depth, patch }) =>
      patch >= sets && columns * depth / 8 % (subgroups * lanes) === 0 &&
      (rows + columns) * (depth + 8) * 2 + subgroups * patch * M * N * 4 <= workgroupMemory
    );
}
