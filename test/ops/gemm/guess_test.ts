import assert from "node:assert/strict";
import type { Traits } from "../../../src/gpu/traits.ts";
import type { Gemm } from "../../../src/ops/gemm/problem.ts";
import { selectKernel } from "../../../src/ops/gemm/select.ts";
import type { Tensor } from "../../../src/tensor/mod.ts";

/** A GPU as RX 6800 and the like, in the part of its traits that products ask for. */
const PLAIN: Traits = {
  software: false,
  lanes: 0,
  subgroups: { min: 32, max: 64 },
  sizedSubgroups: true,
  f16: true,
  f16Words: true,
  matrices: [],
  workgroupMemory: 65536,
  invocations: 1024,
  multiprocessors: 64,
  unrolls: true,
  joins: true,
};
const UNITS = {
  ...PLAIN,
  matrices: [{ componentType: "f16", resultComponentType: "f32", M: 16, N: 16, K: 16 }],
};
const HOST = { ...PLAIN, software: true, lanes: 8, subgroups: { min: 8, max: 8 }, multiprocessors: 2 };

/** A product as `linear` and, with nine taps, a convolution of 3 × 3 ask for it. */
function problem(z: number, m: number, n: number, k: number, taps = 1): Gemm {
  const operand = { dtype: "f16", offset: 0 } as Tensor;
  const side = Math.sqrt(m);
  const conv = {
    x_image: 0,
    in_h: side,
    in_w: side,
    out_h: side,
    out_w: side,
    kernel_w: 3,
    stride_y: 1,
    stride_x: 1,
    dilation_y: 1,
    dilation_x: 1,
    pad_top: 1,
    pad_left: 1,
    upsample: 0,
  };
  return {
    x: operand,
    w: operand,
    batch: [z, 1],
    m,
    n,
    k,
    taps,
    xLayout: { z0: m * k, z1: 0, row: k },
    wLayout: { z0: 0, z1: 0, row: k * taps },
    order: "nk",
    shape: [z, m, n],
    ...(taps > 1 ? { conv } : {}),
  };
}

Deno.test("of products of Stable Diffusion and FLUX each adapter's best forms are guessed", () => {
  const cases: [string, Gemm, units: RegExp, plain: RegExp, f32: RegExp, host?: string][] = [
    [
      "a large convolution",
      problem(2, 4096, 320, 320, 9),
      /^gemm_matrix/,
      /^gemm_half/,
      /^gemm_tiled/,
      "winograd",
    ],
    ["few pixels, long sums", problem(2, 64, 1280, 2560, 9), /matrix.*split/, /half.*split/, /tiled.*split/],
    ["a large product", problem(1, 4608, 21504, 3072), /matrix_128x128$/, /half_128x64$/, /tiled_128$/],
    ["modulation", problem(1, 1, 18432, 3072), /^gemv$/, /^gemv$/, /^gemv$/],
    ["projections of time", problem(1, 2, 20160, 1280), /^gemv$/, /^gemv$/, /^gemv$/],
  ];
  for (const [name, g, units, plain, f32, host = "gemm_broadcast"] of cases) {
    const first = (traits: Traits) => selectKernel(traits, g)[0]!.name;
    assert.match(first(UNITS), units, name);
    assert.match(first(PLAIN), plain, name);
    assert.match(first({ ...PLAIN, f16Words: false }), f32, name);
    assert.equal(first(HOST), host, name);
  }
});

Deno.test("on the host, transforms pay for many pixels and channels alone", () => {
  const first = (g: Gemm) => selectKernel(HOST, g)[0]!.name;
  assert.equal(first(problem(1, 1024, 640, 640, 9)), "winograd");
  for (
    const g of [
      problem(1, 256, 1280, 1280, 9), // as many weights as products
      problem(1, 1024, 64, 64, 9),
      problem(1, 4096, 320, 4, 9),
      problem(1, 4096, 4, 320, 9),
      problem(1, 512 ** 2, 128, 128, 9), // more memory than it may take
    ]
  ) assert.equal(first(g), "gemm_broadcast", `${g.m} × ${g.n} × ${g.k}`);
});

Deno.test("sums are cut where grids are small and sums long, and nowhere else", () => {
  const names = (g: Gemm) => selectKernel(PLAIN, g).map(({ name }) => name);
  assert.ok(names(problem(2, 64, 1280, 2560, 9)).includes("gemm_tiled_64_split8"));
  assert.ok(!names(problem(2, 4096, 1280, 2560, 9)).some((name) => name.includes("split")));
  assert.ok(!names(problem(1, 64, 64, 64)).some((name) => name.includes("split"))); // two steps
});
