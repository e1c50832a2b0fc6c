import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import type { Candidate } from "../../../src/graph/node.ts";
import { attentionInBlocks } from "../../../src/ops/attention/blocks.ts";
import { matrix, VALUES } from "../../../src/ops/attention/matrix.ts";
import { attended, byForm, checkForm, f16Bound, type FormCase } from "../../support/attention.ts";
import { testOnMatrixUnits } from "../../support/engines.ts";
import { type Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { Dice } from "../../support/dice.ts";
import { Nd } from "../../support/nd.ts";
import { assertTensor } from "../../support/tensors.ts";

const CASES: (FormCase & { tile?: Readonly<Record<string, number>> })[] = [
  { L: 1, S: 1, D: 8, columns: 8 },
  { L: 7, S: 65, D: 13, columns: 7 },
  { L: 63, S: 7, D: 40, columns: 40 },
  { L: 65, S: 63, D: 80, columns: 20, causal: true },
  { L: 7, S: 1, D: 64, columns: 64 },
  { L: 17, S: 63, D: 160, columns: 160, mask: [63] },
  { L: 9, S: 65, D: 512, columns: 24 },
  { L: 7, S: 17, D: 8, columns: 8, causal: true, scale: -0.4 },
  { L: 7, S: 17, D: 8, columns: 8, scale: 0 },
  { L: 65, S: 130, D: 24, columns: 16, causal: true, mask: [2, 2, 65, 130] },
  { L: 33, S: 33, D: 16, columns: 16, causal: true, mask: [2, 1, 1, 33], group: 4 },
  // Several matrices of queries a subgroup, several lanes a row, several rows a lane.
  { L: 65, S: 63, D: 16, columns: 24, tile: { BLOCKS: 2, KEYS_PITCH: 6, PARTS: 2, SCORES_PITCH: 6 } },
  { L: 65, S: 63, D: 16, columns: 24, mask: [65, 1], tile: { PARTS: 4, SCORES_PITCH: 8 } },
];

for (const { tile, ...sizes } of CASES) {
  const { L, S, D, columns, causal, mask, scale, group } = sizes;
  const what = [
    `${L} queries, ${S} keys, width ${D}, ${columns} columns`,
    causal && "causal",
    scale !== undefined && `scale ${scale}`,
    mask && "mask",
    group && `${group} heads share keys`,
  ];
  const name = `${what.filter(Boolean).join(", ")}${tile ? `, ${JSON.stringify(tile)}` : ""}`;
  testOnMatrixUnits(`attention() on matrix units: ${name}`, async () => {
    using device = await openDevice();
    const { min } = device.traits.subgroups!;
    if (tile && min !== 8) return; // what is set holds for eight lanes
    const like = (n: number, width: number) => zeros([1, 1, n, width], { dtype: "f16" });
    const alike = { q: like(L!, D), k: like(S!, D), v: like(S!, columns), scale: 1, causal: false };
    if (D > 256 && matrix(device.traits, alike).length === 0) { // lanes of a GPU have too few registers
      console.log(`not offered: ${device.adapterName} has no form for heads as wide`);
      return;
    }
    const change = (c: Candidate) => ({ ...c, set: { ...c.set, ...tile } });
    const rows = 8 * (tile?.["BLOCKS"] ?? 1);
    const resized = (c: Candidate) => ({ ...change(c), workgroups: 4 * Math.ceil(L! / (2 * rows)) });
    await checkForm(matrix, { ...sizes, dtype: "f16" }, tile && resized);
  });
}

testOnMatrixUnits(
  "attention() on matrix units takes values as they lie, with loops written out",
  async () => {
    using device = await openDevice();
    Object.assign(device.traits, { unrolls: false });
    const { byColumn, byKey } = VALUES;
    const turned = (c: Candidate) => ({ ...c, code: c.code.map((part) => part === byColumn ? byKey : part) });
    for (const { tile: _, ...sizes } of [CASES[2]!, CASES[5]!, CASES[9]!]) {
      await checkForm(matrix, { ...sizes, dtype: "f16" }, turned);
    }
  },
);

testOnMatrixUnits(
  "attention() on matrix units keeps f32 sums, and rows that see no key are 0",
  async () => {
    using _device = await openDevice();
    const half = (S: number, value: number) =>
      tensor(new Float32Array(8 * S).fill(value), [1, 1, S, 8], { dtype: "f16" });
    const [q, v] = [half(4, 1), half(4096, 0.5)];
    const y = byForm(matrix, { q, k: v, v, scale: 1, causal: false }); // f16 sums of 0.5 would stop growing at 1024
    assert.deepEqual(new Set(await y.data()), new Set([0.5]));
    const mask = tensor([0, -Infinity, 0, -3.4028234e38], [4, 1]).expand([1, 1, 4, 4096]);
    const masked = await byForm(matrix, { q, k: v, v, mask, scale: 1, causal: false }).data();
    assert.deepEqual([...masked].filter((_, i) => i % 8 === 0), [0.5, 0, 0.5, 0.5]);
  },
);

testOnMatrixUnits(
  "attention() in blocks takes probabilities as f16, and stays within the bound of f16",
  async () => {
    using _device = await openDevice({ candidate: "gemm_matrix" });
    const dice = new Dice(75);
    const [L, S, D] = [17, 70, 40];
    const nds = [L, S, S].map((n) => Nd.random(dice, [1, 2, n, D]).map(Math.f16round)) as [Nd, Nd, Nd];
    const [q, k, v] = nds.map((nd) => nd.upload().to("f16")) as [Tensor, Tensor, Tensor];
    const want = attended(...nds);
    const largest = Math.max(...Array.from(want.data, Math.abs));
    await assertTensor(attentionInBlocks(q, k, v, {}), want, f16Bound(D) * 2 / largest, "blocks"); // values are at most 2
  },
);
