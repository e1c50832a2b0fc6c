import assert from "node:assert/strict";
import { compose } from "../../../src/gpu/shader/compose.ts";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { snippet } from "../../../src/gpu/shader/snippet.ts";
import type { Traits } from "../../../src/gpu/traits.ts";
import type { Candidate } from "../../../src/graph/node.ts";
import type { Gemm } from "../../../src/ops/gemm/problem.ts";
import { matrix } from "../../../src/ops/gemm/matrix.ts";
import { zeros } from "../../../src/tensor/mod.ts";
import { testOnMatrixUnits } from "../../support/engines.ts";

/** What adapters with matrix units say of themselves: sizes of subgroups, whether one can be asked for, memory, [M, N, K]. */
const ADAPTERS: Record<string, [min: number, max: number, sized: boolean, kib: number, number[][]]> = {
  "NVIDIA": [32, 32, true, 48, [[16, 8, 8], [16, 8, 16], [16, 16, 16]]],
  "Apple": [32, 32, false, 32, [[8, 8, 8]]],
  "Intel Xe2": [16, 32, true, 48, [[8, 16, 16]]],
  "Intel Xe": [8, 32, true, 48, [[8, 8, 16]]],
  "AMD RDNA3": [32, 64, true, 64, [[16, 16, 16]]],
  "subgroups of 64": [64, 64, true, 64, [[16, 16, 16]]],
  "AMD on Windows": [32, 64, true, 32, [[16, 16, 16]]],
  "little memory": [32, 32, false, 16, [[8, 8, 8]]],
};

function traitsLike(own: Traits, [min, max, sizedSubgroups, kib, sizes]: typeof ADAPTERS[string]): Traits {
  return {
    ...own,
    software: false,
    lanes: min === max ? min : 0,
    subgroups: { min, max },
    sizedSubgroups,
    workgroupMemory: kib * 1024,
    invocations: 1024,
    matrices: sizes.map(([M, N, K]) => ({
      componentType: "f16",
      resultComponentType: "f32",
      M: M!,
      N: N!,
      K: K!,
    })),
  };
}

/** A product, a gated one, or three. */
function productOf(kind: "plain" | "gate" | "three"): Gemm {
  const [m, n, k] = [256, 256, 64];
  const [x, w] = [zeros([m, k], { dtype: "f16" }), zeros([2 * n, k], { dtype: "f16" })];
  return {
    x,
    w,
    batch: [1, kind === "three" ? 3 : 1],
    m,
    n,
    k,
    xLayout: { z0: 0, z1: 0, row: k },
    wLayout: { z0: 0, z1: 0, row: k },
    order: "nk",
    shape: [m, n],
    ...kind === "gate" && { gate: { step: n * k, bias: zeros([2 * n], { dtype: "f16" }) } },
    ...kind === "three" && { others: [w, w] },
  };
}

const STORE = snippet(
  "store",
  `var<storage, read_write> y: array<vec4f>;
  fn store(z: u32, row: u32, column: u32, v: vec4f) { y[row * params.n / 4 + column / 4] = v; }`,
);

function textOf({ name, code, set }: Candidate, reads: number): string {
  const bindings = [...Array(reads).fill("read" as const), "write" as const, "uniform" as const];
  return compose({ label: name, kernel: { code, bindings }, set, store: { code: [STORE], bindings: [] } })
    .map(({ text }) => text).join("\n");
}

for (const [adapter, facts] of Object.entries(ADAPTERS)) {
  testOnMatrixUnits(
    `kernels for matrix units are valid for ${adapter}, and share out their work`,
    async () => {
      using device = await openDevice();
      const traits = traitsLike(device.traits, facts);
      const [, max, sized] = facts;
      const names = new Set<string>();
      for (const [kind, reads] of [["plain", 2], ["gate", 3], ["three", 4]] as const) {
        for (const { candidate } of matrix(traits, productOf(kind))) {
          if (candidate.before) continue;
          names.add(candidate.name);
          const { TILE_M, TILE_N, TILE_K, LANES, ROWS, COLS, M, N, K } = candidate.set as Record<
            string,
            number
          >;
          const width = TILE_M! / (ROWS! * M!) * (TILE_N! / (COLS! * N!)) * LANES!;
          assert.ok(Number.isInteger(width) && width % max === 0, `${candidate.name}: ${width} lanes`);
          for (const side of [TILE_M!, TILE_N!]) assert.equal(side * TILE_K! / 8 % width, 0, candidate.name);
          assert.equal(TILE_K! % K!, 0);
          const text = textOf(candidate, reads);
          assert.equal(/@subgroup_size/.test(text), sized);
          const module = device.gpu.createShaderModule({ code: text });
          const messages = (await module.getCompilationInfo()).messages.filter(({ type }) =>
            type === "error"
          );
          assert.deepEqual(messages.map(({ message }) => message), [], candidate.name);
        }
      }
      assert.ok(names.size > 0);
      console.log([...names].join(", "));
    },
  );
}
