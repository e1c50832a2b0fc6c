import assert from "node:assert/strict";
import { size } from "../../../src/core/shape.ts";
import { openDevice } from "../../../src/gpu/open/open.ts";
import type { Traits } from "../../../src/gpu/traits.ts";
import type { Candidate } from "../../../src/graph/node.ts";
import { attentionInBlocks } from "../../../src/ops/attention/blocks.ts";
import { broadcast } from "../../../src/ops/attention/broadcast.ts";
import { kept } from "../../../src/ops/attention/kept.ts";
import { operandsOf } from "../../../src/ops/attention/operands.ts";
import { selectKernel } from "../../../src/ops/attention/select.ts";
import { tiled } from "../../../src/ops/attention/tiled.ts";
import { attention } from "../../../src/ops/mod.ts";
import { Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { attended, attendedRow, byForm, checkForm } from "../../support/attention.ts";
import { runChild } from "../../support/child.ts";
import { assertClose } from "../../support/close.ts";
import "../../support/device.ts";
import { Dice } from "../../support/dice.ts";
import { testOnBothEngines } from "../../support/engines.ts";
import { Nd } from "../../support/nd.ts";
import { assertTensor } from "../../support/tensors.ts";

const BOUND = 3e-6;

testOnBothEngines("attention() with masks that broadcast in each way", async (device) => {
  const dice = new Dice(70);
  const [B, H, L, S, D] = [2, 3, 5, 7, 6];
  const [q, k, v] = [L, S, S].map((n) => Nd.random(dice, [B, H, n, D])) as [Nd, Nd, Nd];
  const shapes = [undefined, [S], [B, 1, 1, S], [L, S], [H, L, S], [1, H, L, 1], [B, H, L, S]];
  const few = device.engine === "deno"; // each is a pipeline of its own, which costs a second there
  for (const shape of few ? shapes.slice(0, 3) : shapes) {
    const mask = shape && Nd.random(dice, shape).map((v) => v > 1.2 ? -Infinity : Math.fround(v));
    const y = attention(q.upload(), k.upload(), v.upload(), { mask: mask?.upload() });
    await assertTensor(y, attended(q, k, v, {}, mask), BOUND, `mask [${shape}]`);
  }
});

testOnBothEngines("attention() with a scale, causal, over views of [B, L, H · D]", async () => {
  const dice = new Dice(71);
  const [B, H, L, D] = [2, 2, 9, 4];
  const packed = Array.from({ length: 3 }, () => Nd.random(dice, [B, L, H * D]));
  const [q, k, v] = packed.map((nd) => nd.reshape([B, L, H, D]).permute([0, 2, 1, 3])) as [Nd, Nd, Nd];
  const [tq, tk, tv] = packed.map((nd) => nd.upload().reshape([B, L, H, D]).permute([0, 2, 1, 3]));
  const options = { scale: 0.3, causal: true };
  const y = attention(tq!, tk!, tv!, options);
  await assertTensor(y, attended(q, k, v, options), BOUND, "causal");
  const flat = attended(q, k, v, options).permute([0, 2, 1, 3]).reshape([B, L, H * D]);
  await assertTensor(y.permute([0, 2, 1, 3]).reshape([B, L, H * D]), flat, BOUND, "merged heads");
});

testOnBothEngines(
  "causal attention() may have more keys than queries, values of another width, and turned inputs",
  async () => {
    const dice = new Dice(72);
    const [q, k, v] = [[1, 2, 3, 5], [1, 2, 8, 5], [1, 2, 8, 3]].map((shape) => Nd.random(dice, shape)) as [
      Nd,
      Nd,
      Nd,
    ];
    const turned = k.permute([0, 1, 3, 2]).upload().permute([0, 1, 3, 2]);
    const y = attention(q.upload(), turned, v.upload(), { causal: true });
    await assertTensor(y, attended(q, k, v, { causal: true }), BOUND, "cross");
  },
);

testOnBothEngines("attention() with heads of queries that share keys and values", async () => {
  const dice = new Dice(75);
  const [B, H, L, S, D] = [2, 6, 5, 7, 8];
  const q = Nd.random(dice, [B, L, H * D]);
  const rows = q.reshape([B, L, H, D]).permute([0, 2, 1, 3]);
  for (const heads of [1, 2, 3]) {
    const [k, v] = [Nd.random(dice, [B, heads, S, D]), Nd.random(dice, [B, heads, S, 3])];
    const given = [q.upload().reshape([B, L, H, D]).permute([0, 2, 1, 3]), k.upload(), v.upload()] as const;
    const want = attended(rows, k, v);
    await assertTensor(attention(...given), want, BOUND, `${heads} heads of keys`);
    await assertTensor(attentionInBlocks(...given, {}), want, BOUND, `${heads} heads of keys, in blocks`);
  }
  assert.throws(() => attention(zeros([1, 6, 2, 4]), zeros([1, 4, 2, 4]), zeros([1, 4, 2, 4])), {
    name: "RangeError",
    message:
      /^Cannot attend with tensor \[1, 6, 2, 4\] .*: expected \[B, H, L, D\] and twice \[B, H, S, D\], or a divisor of H$/,
  });
});

Deno.test("attention() over several blocks of queries sees the right rows of mask and causal order", async () => {
  const dice = new Dice(73);
  const [L, S, D] = [3000, 3500, 4]; // 10.5 million scores: two blocks
  const [q, k, v] = [L, S, S].map((n) => Nd.random(dice, [1, 1, n, D])) as [Nd, Nd, Nd];
  const slope = Nd.from([L, 1], ([i]) => i! % 7);
  const options = { causal: true, mask: slope.upload() };
  const got = await attentionInBlocks(q.upload(), k.upload(), v.upload(), options).data();
  for (const i of [0, 1, 2395, 2396, 2397, 2999]) {
    const want = attendedRow(q, k, v, [0, 0, i], { causal: true }, slope);
    assertClose(got.slice(i * D, i * D + D), want, 1e-5, `row ${i}`);
  }
});

testOnBothEngines("attention() for GPUs is right with each number of queries a tile", async (device) => {
  const tile = (rows: number) => (c: Candidate) => ({
    ...c,
    set: { ...c.set, ROWS: rows, STAGED: 4 },
    workgroups: 4 * Math.ceil(70 / rows),
  });
  await checkForm(tiled, { D: 5, columns: 7, causal: true, mask: [2, 2, 70, 150] });
  if (device.engine === "deno") return; // each is a pipeline of its own, which costs seconds there
  await checkForm(tiled, { D: 20, columns: 8, mask: [150] }, tile(32));
  await checkForm(tiled, { D: 12, columns: 8 }, tile(16));
  await checkForm(tiled, { D: 8, columns: 8, causal: true, mask: [2, 1, 1, 150], group: 3 });
  const rows = [160, 161, 512, 641].map((columns) => {
    const [q, v] = [zeros([1, 1, 4, 8]), zeros([1, 1, 4, columns])];
    return tiled(device.traits, { q, k: q, v, scale: 1, causal: false })[0]?.candidate.set["ROWS"];
  });
  assert.deepEqual(rows, [64, 32, 16, undefined]);
});

Deno.test("attention() for GPUs with subgroups keeps queries: edges, types, columns in eights and in tens", async () => {
  using device = await openDevice();
  if (!device.traits.subgroups) return;
  await checkForm(kept, { D: 5, columns: 7, causal: true, mask: [2, 2, 70, 150] });
  await checkForm(kept, { D: 12, columns: 40, L: 130, S: 41 });
  await checkForm(kept, { D: 12, columns: 40, L: 1, S: 1, scale: 0 });
  await checkForm(kept, { D: 12, columns: 40, L: 65, S: 33, causal: true, scale: -0.4 });
  if (!device.traits.f16) return;
  await checkForm(kept, { D: 13, columns: 9, L: 63, S: 65, dtype: "f16" });
  await checkForm(kept, { D: 8, columns: 8, L: 63, S: 65, causal: true, mask: [2, 1, 1, 65], group: 4 });
  await checkForm(kept, { D: 16, columns: 40, L: 7, S: 63, mask: [7, 1], dtype: "f16" });
});

for (const width of [256, 512]) {
  Deno.test(`attention() for software adapters is right at ${width / 32} lanes`, async () => {
    const code = `
      import { openDevice } from "./src/gpu/open/open.ts";
      import { broadcast } from "./src/ops/attention/broadcast.ts";
      import { checkForm } from "./test/support/attention.ts";
      using device = await openDevice({ engine: "dawn" });
      const { lanes, software } = device.traits;
      const fits = software && (lanes === 8 || lanes === 16);
      console.log(fits ? lanes : "no such adapter");
      if (fits) await checkForm(broadcast, { D: 8, columns: 12, causal: true });
      if (fits) await checkForm(broadcast, { D: 5, columns: 3 });
      if (fits) await checkForm(broadcast, { D: 8, columns: 12, causal: true, group: 2 });
      console.log("right");`;
    const { code: exit, stdout, stderr } = await runChild(code, {
      env: { LP_NATIVE_VECTOR_WIDTH: String(width) },
    });
    assert.equal(exit, 0, stderr);
    if (!stdout.startsWith("no")) assert.equal(stdout, `${width / 32}\nright\n`);
  });
}

Deno.test("attention() reads four values at once where an axis of 1 has an odd stride", () => {
  const x = zeros([3, 5, 8]);
  const odd = new Tensor(x.device, x.node, [1, 3, 5, 8], [1, 40, 8, 1], 0);
  const names = (v: Tensor) =>
    operandsOf({ q: odd, k: odd, v, scale: 1, causal: false }).code.map(({ name }) => name);
  assert.ok(names(odd).includes("shaders/attention/lib/read_vec4.wgsl"));
  assert.ok(
    names(new Tensor(x.device, x.node, [1, 3, 4, 8], [1, 40, 9, 1], 0)).includes(
      "shaders/attention/lib/read_any.wgsl",
    ),
  );
});

Deno.test("attention() in f16 keeps f32 sums", async () => {
  using device = await openDevice();
  if (!device.traits.f16) return;
  const half = (shape: number[], value: number) =>
    tensor(new Float32Array(size(shape)).fill(value), shape, { dtype: "f16" });
  const [q, v] = [half([1, 1, 4, 8], 1), half([1, 1, 4096, 8], 0.5)];
  const a = { q, k: v, v, scale: 1, causal: false };
  for (const form of [broadcast, kept, tiled].filter((form) => form(device.traits, a).length > 0)) {
    const y = byForm(form, a); // f16 sums of 0.5 would stop growing at 1024
    assert.deepEqual(new Set(await y.data()), new Set([0.5]));
  }
});

testOnBothEngines("attention() of queries that see no key is 0 in every form, as torch's", async (device) => {
  const { f16 } = device.traits;
  for (const dtype of f16 ? ["f32", "f16"] as const : ["f32"] as const) {
    const fill = (S: number, value: number) =>
      tensor(new Float32Array(8 * S).fill(value), [1, 1, S, 8], { dtype });
    const [q, k, v] = [fill(4, 1), fill(40, 1), fill(40, 0.5)];
    const mask = tensor([0, -Infinity, 0, -3.4028234e38], [4, 1]).expand([1, 1, 4, 40]);
    const a = { q, k, v, mask, scale: 1, causal: false };
    const forms = [kept, tiled].filter((form) => form(device.traits, a).length > 0);
    const all = [...forms.map((form) => byForm(form, a)), attentionInBlocks(q, k, v, a)];
    for (const y of all) assertClose(await y.slice(3, 0, 1).data(), [0.5, 0, 0.5, 0.5], BOUND, dtype);
    const low = { ...a, k: fill(40, -Infinity), mask: undefined }; // without a mask, too
    for (const form of [broadcast, kept, tiled].filter((form) => form(device.traits, low).length > 0)) {
      assert.deepEqual(new Set(await byForm(form, low).data()), new Set([0]));
    }
  }
});

Deno.test("attention() takes matrix units, then queries that stay, then tiles, then blocks, as an adapter allows", async () => {
  using device = await openDevice();
  const rest = {
    lanes: 0,
    f16: true,
    f16Words: true,
    sizedSubgroups: true,
    workgroupMemory: 65536,
    invocations: 1024,
  };
  const gpu = {
    ...device.traits,
    ...rest,
    software: false,
    multiprocessors: 96,
    subgroups: { min: 32, max: 64 },
    matrices: [],
  };
  const units = { componentType: "f16", resultComponentType: "f32", M: 16, N: 16, K: 16 };
  const first = (traits: Traits, D: number, dtype: "f16" | "f32", L = 4096) => {
    const q = zeros([1, 1, 1, D], { dtype }).expand([1, 8, L, D]);
    return selectKernel(traits, { q, k: q, v: q, scale: 1, causal: false })[0]?.name ?? "blocks";
  };
  const matrices = { ...gpu, matrices: [units] };
  if (device.traits.f16) {
    const names = [40, 64, 80, 128, 160, 512].map((D) => first(matrices, D, "f16").replace("attention_", ""));
    assert.deepEqual(names, [...Array(5).fill("matrix_16x32"), "blocks"]);
    assert.equal(first(gpu, 40, "f16"), "attention_kept_128x40");
  }
  assert.equal(first(matrices, 64, "f32"), "attention_kept_64x32");
  assert.equal(first({ ...gpu, subgroups: undefined }, 64, "f32"), "attention_tiled");
  assert.equal(first({ ...gpu, workgroupMemory: 16384 }, 512, "f32"), "blocks");
});

Deno.test("attention() refuses keys that are not of the queries' batch, heads or width", () => {
  const q = zeros([1, 2, 3, 4]);
  for (const k of [zeros([1, 3, 3, 4]), zeros([2, 2, 3, 4]), zeros([1, 2, 3, 5]), zeros([2, 3, 4])]) {
    assert.throws(() => attention(q, k, k), /^RangeError: Cannot attend with /);
  }
});

Deno.test("attention() of no queries, no keys and no columns is empty or 0, as in torch", async () => {
  for (const [L, S, E] of [[0, 3, 4], [2, 0, 4], [2, 3, 0]] as const) {
    const y = attention(zeros([1, 2, L, 5]), zeros([1, 2, S, 5]), zeros([1, 2, S, E]));
    assert.deepEqual(y.shape, [1, 2, L, E]);
    assert.deepEqual([...await y.data()], Array(2 * L * E).fill(0));
  }
});
