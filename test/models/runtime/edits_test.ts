import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { streamOf } from "../../../src/graph/run/stream.ts";
import type { UNet2DConditionModel } from "../../../src/models/mod.ts";
import { cat, scope, type Tensor, tensor } from "../../../src/tensor/mod.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import { testOnBothEngines } from "../../support/engines.ts";
import { baseInputs, loadBase, parts } from "../../support/unet_base.ts";

const bound = 1e-5; // f32
const block = "down_blocks.0.attentions.0.transformer_blocks.0";

async function assertDraws(unet: UNet2DConditionModel, name: string, limit = bound) {
  assertRelativelyClose(
    await unet.forward(...baseInputs()).sample.data(),
    parts.get(`edits/${name}`)!.data,
    limit,
    name,
  );
}

testOnBothEngines(
  "edit() replaces what a part gives, as a hook of torch does, until it is removed",
  async () => {
    using unet = await loadBase();
    const plain = await unet.forward(...baseInputs()).sample.data();
    const [first, second] = ["resnets.0.input", "resnets.1.input"].map((name) => `up_blocks.1.${name}`);
    const cases: [string, string, (output: Tensor, inputs: readonly Tensor[]) => Tensor][] = [
      ["mid_block doubled", "mid_block", (y) => y.mul(2)],
      ["attn2 is zero", `${block}.attn2`, (y) => y.mul(0)],
      ["ff reads its input", `${block}.ff`, (y, [x]) => y.add(x!.mul(0.5))],
      ["conv_out", "conv_out", (y) => cat([y.slice(0, 1), y.slice(0, 0, 1)])],
      ["input of up_blocks.1.resnets.0", first!, (_y, inputs) => cat(inputs.map((x) => x.mul(1.5)), 1)],
    ];
    for (const [name, path, fn] of cases) {
      using _edit = unet.edit(path, fn);
      await assertDraws(unet, name);
    }
    assert.ok(unet.paths.includes(second!));
    assert.deepEqual(await unet.forward(...baseInputs()).sample.data(), plain);
  },
);

testOnBothEngines(
  "edits of one part follow each other, and those of several parts count together",
  async () => {
    using unet = await loadBase();
    const { taps } = unet.forward(...baseInputs(), { taps: ["mid_block"] });
    const before = await taps.mid_block.data();
    using _first = unet.edit("mid_block", (y) => y.add(1));
    const second = unet.edit("mid_block", (y) => y.mul(2));
    using _other = unet.edit("conv_out", (y) => y.mul(0).add(7));
    const read = async () => {
      const run = unet.forward(...baseInputs(), { taps: ["mid_block"] });
      assert.deepEqual(new Set(await run.sample.data()), new Set([7]));
      return await run.taps.mid_block.data();
    };
    assertRelativelyClose(await read(), before.map((x) => (x + 1) * 2), bound, "both");
    second.remove();
    second.remove(); // again: nothing
    assertRelativelyClose(await read(), before.map((x) => x + 1), bound, "the first alone");
  },
);

testOnBothEngines(
  "an edit's values change from call to call without a new trace, and outlive scopes",
  async (device) => {
    using unet = await loadBase();
    const [sample, t, prompts] = baseInputs();
    using edit = unet.edit("conv_out", (y, _inputs, { scale, shift }) => y.mul(0).add(scale!).mul(shift!), {
      values: { scale: 3, shift: tensor([1, 2, 3, 4], [4, 1, 1]) },
    });
    const read = async () => {
      const data = await unet.forward(sample, t, prompts).sample.data();
      return [data[0], data[64], data[128], data[192]];
    };
    assert.deepEqual(await read(), [3, 6, 9, 12]);
    const compiled = device.pipelines.statistics.count;
    const traces = device.dump();
    {
      using _loop = scope();
      edit.set({ scale: 5 });
    }
    assert.deepEqual(await read(), [5, 10, 15, 20]);
    edit.set({ scale: 1, shift: tensor([0, 1, 0, 1], [4, 1, 1]) });
    assert.deepEqual(await read(), [0, 1, 0, 1]);
    assert.equal(device.pipelines.statistics.count, compiled);
    assert.equal(device.dump().split("dispatches").length, traces.split("dispatches").length);
    assert.ok(streamOf(device).statistics.dispatches > 0);
    assert.throws(() => edit.set({ size: 1 }), {
      message: 'Cannot set "size" of the edit of conv_out: expected a value that it has: scale, shift',
    });
  },
);

testOnBothEngines("an edit of maps of attention counts, as one of attention itself does", async () => {
  using unet = await loadBase();
  const attn = "mid_block.attentions.0.transformer_blocks.0.attn2";
  const draw = async (name: string, fn: (y: Tensor, inputs: readonly Tensor[]) => Tensor) => {
    using _edit = unet.edit(`${attn}.${name}`, fn);
    return await unet.forward(...baseInputs()).sample.data();
  };
  const even = await draw("attention_probs", (probs) => probs.mul(0).add(1 / probs.shape[3]!));
  const mean = await draw("attention", (y, [_q, _k, v]) => v!.mean(2, { keepdim: true }).expand(y.shape));
  assertRelativelyClose(even, mean, bound, "maps that see all alike");
  assert.notDeepEqual(even, await unet.forward(...baseInputs()).sample.data());
});

testOnBothEngines("edit() refuses what it cannot do in one line", async () => {
  using unet = await loadBase();
  assert.throws(() => unet.edit("mid_block.resnet.0", (y) => y), {
    name: "RangeError",
    message:
      'Cannot edit UNet2DConditionModel at "mid_block.resnet.0": no such part; nearest are "mid_block.resnets.0", ' +
      '"mid_block.resnets.1", "mid_block.resnets.0.norm1"; `paths` of the model lists all',
  });
  const refused = (fn: unknown, got: string) => {
    using _edit = unet.edit("mid_block", fn as (y: Tensor) => Tensor);
    assert.throws(() => unet.forward(...baseInputs()), {
      name: "TypeError",
      message: `Cannot edit UNet2DConditionModel at "mid_block": expected a tensor [2, 6, 4, 4], got ${got}`,
    });
  };
  refused((y: Tensor) => y.slice(0, 1), "[1, 6, 4, 4]");
  refused(() => {}, "nothing; return one");
  refused((y: Tensor) => Promise.resolve(y), "a Promise; an edit is recorded and cannot await");
  refused(() => 5, "number");
  {
    using _edit = unet.edit("mid_block", (y) => unet.forward(...baseInputs()).sample.sum().add(y));
    assert.throws(() => unet.forward(...baseInputs()), {
      message:
        'Cannot run UNet2DConditionModel within the edit of UNet2DConditionModel at "mid_block": run it before, ' +
        "and give its results to the edit as values",
    });
  }
  await unet.forward(...baseInputs()).sample.data();
});

testOnBothEngines("an edit may read tensors from outside, as long as they live, but no values", async () => {
  using unet = await loadBase();
  const draw = async () => await unet.forward(...baseInputs()).sample.data();
  const constant = tensor([3]).mul(2);
  {
    using _edit = unet.edit("conv_out", (y) => y.mul(0).add(constant));
    for (const _ of [1, 2]) assert.deepEqual(new Set(await draw()), new Set([6]));
    assert.equal(await constant.item(), 6);
    assert.deepEqual(new Set(await draw()), new Set([6]));
  }
  let freed = tensor([1]);
  using _edit = unet.edit("conv_out", (y) => y.add(freed));
  {
    using _scope = scope();
    freed = tensor([1]);
  }
  await assert.rejects(draw(), {
    message:
      "Cannot run UNet2DConditionModel: a tensor that it was traced with was freed; keep it as long, or make it a " +
      "value of the edit",
  });
  _edit.remove();

  let seen: Tensor | undefined;
  using _spy = unet.edit("mid_block", (y) => seen = y);
  await draw();
  await assert.rejects(seen!.data(), {
    message:
      "Cannot read what is recorded in a model's trace: it has values within the calls only; ask for it by taps",
  });
  await draw();
});

for (
  const [name, options, limit] of [
    ["streamed from the disk", { stream: true }, bound],
    ["in f16", { dtype: "f16" }, 2e-2],
  ] as const
) {
  Deno.test(`a model whose weights are ${name} is tapped and edited as any other`, async () => {
    using _device = await openDevice();
    using unet = await loadBase(options);
    using _edit = unet.edit("mid_block", (y) => y.mul(2));
    const path = `${block}.attn2`;
    for (const _ of [1, 2]) {
      const { sample, taps } = unet.forward(...baseInputs(), { taps: [`${path}.attention_probs`] });
      const maps = taps[`${path}.attention_probs`]!;
      assert.equal(maps.dtype, "f32");
      assertRelativelyClose(await maps.data(), parts.get(`maps/${path}`)!.data, limit, "maps");
      assertRelativelyClose(await sample.data(), parts.get("edits/mid_block doubled")!.data, limit, "sample");
    }
    unet.unload();
    await unet.load(); // the edit stays
    await assertDraws(unet, "mid_block doubled", limit);
  });
}
