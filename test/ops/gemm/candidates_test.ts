import assert from "node:assert/strict";
import { isPacked } from "../../../src/core/dtype.ts";
import type { Device } from "../../../src/gpu/device.ts";
import { openDevice } from "../../../src/gpu/open/open.ts";
import type { Candidate } from "../../../src/graph/node.ts";
import { recordGemm } from "../../../src/ops/gemm/gemm.ts";
import type { Gemm } from "../../../src/ops/gemm/problem.ts";
import { selectKernel } from "../../../src/ops/gemm/select.ts";
import { type GemmCase, gemmProblem, type Problem } from "../../support/gemm_problem.ts";

/** A convolution of one image, 3 × 3 with a padding of 1 but for what is told. */
function conv(inH: number, inW: number, options: Partial<NonNullable<GemmCase["conv"]>> = {}) {
  const { kernel_w = 3, taps = 9, pad_top = 1, pad_left = 1, upsample = 0 } = options;
  const { stride_y = 1, stride_x = 1, dilation_y = 1, dilation_x = 1 } = options;
  const out = (size: number, pad: number, kernel: number, dilation: number, stride: number) =>
    Math.floor(((size << upsample) + 2 * pad - dilation * (kernel - 1) - 1) / stride) + 1;
  const out_h = out(inH, pad_top, taps / kernel_w, dilation_y, stride_y);
  const out_w = out(inW, pad_left, kernel_w, dilation_x, stride_x);
  const [x_image, in_h, in_w] = [0, inH, inW];
  const places = { x_image, in_h, in_w, out_h, out_w, kernel_w, taps, pad_top, pad_left, upsample };
  return { m: out_h * out_w, conv: { ...places, stride_y, stride_x, dilation_y, dilation_x } };
}

/** The one table that operands of two types go through: what reads them is the same in all others. */
const EDGES = "edges of tiles";
const GATED = "gated products";
/** Tables that every tile goes through; the others are about what reads operands, which a form's tiles share. */
const FOR_EVERY_TILE = [EDGES, GATED];

const CASES: Record<string, readonly GemmCase[]> = {
  [EDGES]: [
    { m: 1, n: 1, k: 1 },
    { m: 1, n: 65, k: 64 },
    { m: 7, n: 8, k: 63 },
    { m: 8, n: 7, k: 65 },
    { m: 63, n: 1, k: 8 },
    { m: 65, n: 63, k: 7 },
    { m: 64, n: 64, k: 32 },
    { m: 131, n: 130, k: 36 },
  ],
  "both orders, strides and offsets": [
    { m: 9, n: 12, k: 20, order: "kn" },
    { m: 65, n: 7, k: 5, order: "kn", gap: 3, offset: 5 },
    { m: 17, n: 33, k: 40, order: "kn", gap: 8, offset: 8 },
    { m: 17, n: 33, k: 40, gap: 4, offset: 4 },
    { m: 66, n: 9, k: 11, gap: 1, offset: 3 },
  ],
  batches: [
    { m: 7, n: 9, k: 8, batch: [3, 1] },
    { m: 5, n: 66, k: 12, batch: [2, 3], gap: 4 },
    { m: 65, n: 5, k: 7, batch: [2, 2], order: "kn", gap: 1, offset: 1 },
  ],
  convolutions: [
    { ...conv(7, 9), n: 8, k: 8 },
    { ...conv(5, 4), n: 7, k: 5 },
    { ...conv(9, 8, { stride_y: 2, stride_x: 2 }), n: 65, k: 16 },
    { ...conv(9, 7, { dilation_y: 2, dilation_x: 3, pad_top: 2, pad_left: 0 }), n: 4, k: 3 },
    { ...conv(4, 5, { upsample: 1 }), n: 9, k: 8 },
    { ...conv(6, 7), n: 37, k: 12, batch: [3, 1] }, // images
    { ...conv(5, 6, { pad_top: -1, pad_left: 2 }), n: 4, k: 6, offset: 3 },
    { ...conv(1, 1), n: 1, k: 1 },
    { ...conv(6, 6, { kernel_w: 2, taps: 6, pad_top: 2, pad_left: 1, stride_x: 3 }), n: 5, k: 12, offset: 4 },
    { ...conv(6, 5), n: 6, k: 8, batch: [2, 2] }, // images and groups
    { ...conv(3, 3, { kernel_w: 5, taps: 25, pad_top: 2, pad_left: 2 }), n: 3, k: 32 }, // larger than the picture
  ],
  "sums that are cut into parts": [
    { m: 9, n: 7, k: 288 },
    { ...conv(5, 4), n: 6, k: 72 }, // parts begin within a tap
  ],
  [GATED]: [
    { m: 35, n: 8, k: 40, gate: true },
    { m: 66, n: 35, k: 7, gate: true },
  ],
  "three products": [
    { m: 7, n: 9, k: 8, three: true },
    { m: 65, n: 66, k: 24, three: true },
  ],
};
/** Packed weights are whole blocks of 64. */
const PACKED: Record<string, readonly GemmCase[]> = {
  [EDGES]: [
    { m: 1, n: 7, k: 64 },
    { m: 9, n: 65, k: 64 },
    { m: 65, n: 8, k: 96 },
  ],
  [GATED]: [{ m: 35, n: 9, k: 64, gate: true }],
  convolutions: [{ ...conv(5, 6), n: 6, k: 32 }],
};
const TYPES = [
  ["f32", "f32"],
  ["f16", "f16"],
  ["f32", "f16"],
  ["f32", "int8"],
  ["f16", "int8"],
  ["f32", "int4"],
  ["f16", "int4"],
] as const;
const TERMS_IN_F16 = 32; // that a form may sum before it goes on in f32

/**
 * How far a result may be off, in units of the sum of its terms' magnitudes. Sums in f32 of terms in f32 are off by 2^-24
 * for each term, in any order (Higham 2002, section 4.2); so are a packed weight's product with its scale, its fraction
 * and gelu. Where x is f16, a packed weight may be rounded to it, of int8 its scale too, and where a form sums in it, so is each of its first sums.
 */
function boundOf({ name }: Candidate, c: GemmCase, { terms }: Problem): number {
  const rounded = { int8: 2, int4: 1 }[c.w as string] ?? 0;
  const summed = name.includes("half") ? TERMS_IN_F16 + 1 : 0;
  return (terms + 4) * 2 ** -24 + (c.x === "f16" ? (rounded + summed) * 2 ** -11 : 0);
}

/**
 * How far Winograd's F(2×2, 3×3) may be off, of numbers within [-1, 1]: for a channel |G||g||Gᵀ| times |Bᵀ||d||B| adds up to
 * at most 4² · 4, each of its roundings is off by 2^-24 of that, and there are as many as channels in the sum, then 2 in
 * pixels, 4 in weights (and 2 in packed ones), and 5 in products and the last transform.
 */
function winogradBound({ k }: GemmCase): number {
  return (k + 13) * 2 ** -24 * k * 64;
}

/** Part of the names of candidates to check, e.g. CANDIDATE=matrix; all by default. */
const ONLY = Deno.env.get("CANDIDATE") ?? "";

/** Every kernel that is right for a case here, whatever kind of adapter it is for; of tiles all, or the smallest of each form. */
function candidatesOf(device: Device, gemm: Gemm, everyTile: boolean): Candidate[] {
  const kinds = [device.traits, { ...device.traits, software: false, joins: true }];
  const all = kinds.flatMap((traits) => selectKernel(traits, gemm)).filter(({ name }) => name.includes(ONLY));
  const smallest = all.toSorted((a, b) => tileOf(b) - tileOf(a)); // of equal keys the last stays
  const key = ({ name, set }: Candidate) => `${name} ${JSON.stringify(set)}`;
  return [...new Map(smallest.map((c) => [everyTile ? key(c) : c.name.replace(TILE, ""), c])).values()];
}

const TILE = /_(\d+)(x\d+)?/;
const tileOf = ({ name }: Candidate) => Number(TILE.exec(name)?.[1] ?? 0);

/** Checks candidates for a case: whole numbers are summed exactly in any type, others within their bound. */
async function check(
  device: Device,
  c: GemmCase,
  everyTile: boolean,
  run: Map<string, number>,
): Promise<void> {
  for (const draw of isPacked(c.w ?? "f32") ? ["real"] as const : ["whole", "real"] as const) {
    const problem = await gemmProblem(device, c, draw);
    const halves: Gemm = { ...problem.gemm, dtype: "f16" }; // for candidates whose results have to be
    const wide = candidatesOf(device, problem.gemm, everyTile);
    const narrow = c.x === "f16" ? candidatesOf(device, halves, everyTile) : [];
    const others = narrow.filter(({ name }) => wide.every((candidate) => candidate.name !== name));
    for (const candidate of [...wide, ...others]) {
      const gemm = wide.includes(candidate) ? problem.gemm : halves;
      const what = `${candidate.name}, ${JSON.stringify(c)}, ${draw}`;
      const got = await recordGemm([candidate], gemm).data();
      const exact = draw === "whole" && !c.gate;
      const bound = exact ? 0 : boundOf(candidate, c, problem);
      const rounded = gemm === halves ? 2 ** -11 : 0; // of the result
      const isWinograd = candidate.name === "winograd" && !exact;
      assert.equal(got.length, problem.want.length, what);
      for (const [i, want] of problem.want.entries()) {
        const off = Math.abs(got[i]! - want);
        const own = isWinograd ? winogradBound(c) : bound * problem.scale[i]!;
        const most = own + rounded * Math.abs(want);
        assert.ok(off <= most, `${what}: at ${i} got ${got[i]}, want ${want}, off by ${off}, bound ${most}`);
      }
      assert.deepEqual(await recordGemm([candidate], gemm).data(), got, `${what}: a second time`);
      run.set(candidate.name, (run.get(candidate.name) ?? 0) + 1);
    }
    problem.release();
  }
}

for (const [x, w] of TYPES) {
  Deno.test(`every candidate is right for products of ${x} by ${w}`, async (t) => {
    using device = await openDevice();
    if (!device.traits.f16 && [x, w].includes("f16")) return;
    const run = new Map<string, number>();
    const all = isPacked(w) ? PACKED : CASES;
    const tables = Object.entries(all).filter(([name]) =>
      x === w || isPacked(w) && x === "f16" || name === EDGES
    );
    for (const [name, cases] of tables) {
      await t.step(name, async () => {
        const everyTile = x === w && FOR_EVERY_TILE.includes(name);
        for (const c of cases) await check(device, { ...c, x, w }, everyTile, run);
      });
    }
    console.log([...run].map(([name, times]) => `${name} ${times}`).join(", "));
    assert.ok(run.size >= (ONLY ? 1 : 2), `expected several candidates, got ${[...run.keys()]}`);
  });
}
