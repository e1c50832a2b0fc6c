import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import type { Device } from "../../../src/gpu/device.ts";
import { fuse, type Group, reachable } from "../../../src/graph/fusion/fuse.ts";
import { streamOf } from "../../../src/graph/run/stream.ts";
import { attentionInBlocks } from "../../../src/ops/attention/blocks.ts";
import { attention, conv2d, geglu, groupNorm, linear, rmsNorm, silu } from "../../../src/ops/mod.ts";
import { cat, type Tensor, tensor, weightedSum, where } from "../../../src/tensor/mod.ts";
import { ADAPTERS } from "../../support/engines.ts";

let device: Device;
const upload = (...shape: number[]) => tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);

/** The dispatches that tensors become. */
function groupsOf(...outputs: Tensor[]): Group[] {
  const roots = outputs.map(({ node }) => node);
  return fuse(reachable(roots), new Set(roots), device.limits.maxStorageBuffersPerShaderStage);
}

/** One word per dispatch: the kernel's name, or "pointwise". */
const names = (...outputs: Tensor[]) =>
  groupsOf(...outputs).map(({ kernel }) => kernel?.spec.name.split("_")[0] ?? "pointwise");

/** Registers a test that records without running. */
function test(name: string, run: () => void): void {
  Deno.test(name, async () => {
    using opened = await openDevice();
    device = opened;
    streamOf(device).dryRun(run);
  });
}

/** A picture as a kernel leaves it. */
const picture = (...shape: number[]) => {
  const [B, C, H, W] = shape as [number, number, number, number];
  return upload(B, H, W, C).permute([0, 3, 1, 2]);
};
const filter = (O: number, C: number, k: number) => upload(O, k, k, C).permute([0, 3, 1, 2]);

test("a convolution takes its bias, the time shift and the residual into one dispatch", () => {
  const x = picture(2, 5, 4, 3);
  const shift = upload(2, 5);
  const y = conv2d(x, { weight: filter(5, 5, 3), bias: upload(5) }, { padding: 1 })
    .add(shift.reshape([2, 5, 1, 1])).add(x);
  assert.deepEqual(names(y), ["gemm"]);
  assert.equal(groupsOf(y)[0]!.operands.length, 4);
});

test("a group norm takes its affine part and SiLU into one dispatch", () => {
  const w = { weight: upload(6), bias: upload(6) };
  assert.deepEqual(names(silu(groupNorm(picture(2, 6, 3, 5), w, { groups: 3 }))), ["group"]);
  assert.deepEqual(names(silu(groupNorm(upload(2, 6, 3, 5), w, { groups: 3 }))), ["pointwise", "group"]);
});

test("an rms norm reads heads where they lie, and leaves them to the next layer in the same order", () => {
  const heads = (x: Tensor) => x.reshape([2, 5, -1, 4]).permute([0, 2, 1, 3]);
  const w = { weight: upload(4) };
  const tokens = (x: Tensor) => x.permute([0, 2, 1, 3]).reshape([2, 5, 12]);
  assert.deepEqual(names(linear(tokens(rmsNorm(heads(upload(2, 5, 12)), w)), { weight: upload(8, 12) })), [
    "rms",
    "gemm",
  ]);
  const merged = upload(2, 5, 36);
  assert.deepEqual(names(rmsNorm(heads(merged.chunk(3, 2)[1]), w)), ["rms"]);
  assert.deepEqual(names(rmsNorm(heads(merged).slice(1, 3, 6).slice(2, 1, 4), w)), ["pointwise", "rms"]);
});

test("a linear layer takes a bias, a scale and a residual in another shape into one dispatch", () => {
  const y = linear(upload(2, 3, 4), { weight: upload(8, 4), bias: upload(8) });
  assert.deepEqual(names(y.mul(2).add(upload(2, 3, 8))), ["gemm"]);
  const picture = y.permute([0, 2, 1]).reshape([2, 8, 3, 1]);
  assert.deepEqual(names(picture.add(upload(2, 3, 8).permute([0, 2, 1]).reshape([2, 8, 3, 1]))), ["gemm"]);
});

test("a value that two others read is stored, and computed once", () => {
  const y = upload(2, 3).add(1);
  assert.deepEqual(names(y.mul(silu(y))), ["pointwise", "pointwise"]);
  const product = linear(upload(2, 4), { weight: upload(3, 4) });
  assert.deepEqual(names(product.add(1), product.mul(2)), ["gemm", "pointwise", "pointwise"]);
});

test("a value that is broadcast is computed before, not at every place", () => {
  const row = upload(3).add(1);
  assert.deepEqual(names(upload(2, 3).mul(row)), ["pointwise", "pointwise"]);
  const column = upload(2, 1).add(1);
  assert.deepEqual(names(upload(2, 3).mul(column)), ["pointwise", "pointwise"]);
});

test("a value that is read in part or in another order is computed before", () => {
  const y = upload(4, 4).mul(2);
  assert.deepEqual(names(y.slice(0, 1, 3).add(1)), ["pointwise", "pointwise"]);
  assert.deepEqual(names(upload(4, 4).add(y.permute([1, 0]))), ["pointwise", "pointwise"]);
  assert.deepEqual(names(geglu(linear(upload(2, 4), { weight: upload(8, 4) }))), ["gemm", "pointwise"]);
});

test("a chain of pointwise work and a weighted sum are one dispatch each", () => {
  const [a, b, c] = [upload(2, 3), upload(2, 3), upload(3)];
  assert.deepEqual(names(a.add(b).mul(2).sub(c).clamp(-1, 1)), ["pointwise"]);
  assert.deepEqual(names(weightedSum([1, a], [2, b], [3, a])), ["pointwise"]);
  const [, group] = [0, groupsOf(a.add(b).mul(a))[0]!] as const;
  assert.equal(group.operands.length, 2, "an operand that is read twice is bound once");
});

test("work on a value in another shape runs in the dispatch of that value", () => {
  const y = upload(2, 3, 4).add(1).reshape([6, 4]).mul(2).reshape([2, 12]).sub(1);
  assert.deepEqual(names(y), ["pointwise"]);
});

test("kept values are stored and still feed the dispatch behind them", () => {
  const y = linear(upload(2, 4), { weight: upload(3, 4), bias: upload(3) });
  assert.deepEqual(names(y, y.mul(2)), ["gemm", "pointwise"]);
});

test("joined tensors are read through windows, in one dispatch", () => {
  const [group] = groupsOf(cat([upload(2, 3), upload(2, 1), upload(2, 4)], 1).mul(2)) as [Group];
  assert.deepEqual(group.operands.map(({ window }) => window!.start), [0, 3, 4]);
  assert.equal(groupsOf(cat([upload(2, 3), upload(2, 1)], 1).mul(2)).length, 1);
});

test("attention is one dispatch with what follows it, in blocks three, with scale and mask in the first", () => {
  const q = upload(1, 2, 5, 4);
  const mask = upload(5, 5);
  for (const [what, pretend] of Object.entries(ADAPTERS)) {
    pretend(device);
    const { lanes, software } = device.traits;
    if (lanes || !software) assert.deepEqual(names(attention(q, q, q).mul(2)), ["attention"], what);
    assert.deepEqual(names(attentionInBlocks(q, q, q, { mask })), ["gemm", "softmax", "gemm"], what);
  }
});

test("no dispatch binds more buffers than the adapter allows", () => {
  const most = device.limits.maxStorageBuffersPerShaderStage;
  const terms = Array.from({ length: 3 * most }, () => upload(2, 3).mul(2));
  for (const group of groupsOf(terms.reduce((sum, term) => sum.add(term)))) {
    assert.ok(new Set(group.operands.map(({ node }) => node)).size + 1 <= most);
  }
});

test("casts fuse: an expression says where a fraction is dropped", () => {
  assert.deepEqual(names(upload(3).cast("i32").cast("f32")), ["pointwise"]);
  assert.deepEqual(names(upload(3).cast("f16").cast("f32")), ["pointwise"]);
  assert.deepEqual(names(where(upload(3).gt(0), upload(3), 0).add(1)), ["pointwise"]);
});
