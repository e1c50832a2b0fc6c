import assert from "node:assert/strict";
import { cat, openDevice, randn, scope, type Tensor } from "../../../src/mod.ts";
import { AutoencoderTiny, UNet2DConditionModel } from "../../../src/models/mod.ts";
import { streamOf } from "../../../src/graph/run/stream.ts";
import { manualSeed } from "../../../src/random/mod.ts";
import { emoji } from "../../support/emoji.ts";
import { fixture } from "../../support/fixtures.ts";

const noise = (...shape: number[]) => randn(shape, { generator: manualSeed(shape.length) });

Deno.test("the keys and values of a prompt that is a view run once, as those of a whole tensor", async () => {
  using device = await openDevice();
  using unet = await UNet2DConditionModel.fromPretrained(emoji, { subfolder: "unet", dtype: "f32" });
  const one = noise(1, 77, unet.config.cross_attention_dim);
  const two = cat([one.mul(2), one]);
  const count = async (prompt: () => Tensor) => {
    unet.retrace();
    const counts: number[] = [];
    const values: ArrayLike<number>[] = [];
    for (let call = 0; call < 4; call++) {
      using _step = scope();
      const x = noise(1, unet.config.in_channels, 8, 8);
      await x.data();
      const { sample } = unet.forward(x, 10 * call, prompt());
      await streamOf(device).flush();
      counts.push(streamOf(device).statistics.dispatches);
      values.push(await sample.data());
    }
    return { last: counts.at(-1)!, first: counts[0]!, values };
  };
  const whole = await count(() => one);
  const view = await count(() => two.slice(0, 1));
  assert.ok(whole.last < whole.first);
  assert.deepEqual([view.last, view.values], [whole.last, whole.values]);
});

Deno.test("another view, and another tensor in the same place, are other values", async () => {
  using _device = await openDevice();
  using unet = await UNet2DConditionModel.fromPretrained(emoji, { subfolder: "unet", dtype: "f32" });
  const x = noise(1, unet.config.in_channels, 8, 8);
  const D = unet.config.cross_attention_dim;
  const rows = [noise(1, 77, D), noise(1, 77, D).mul(2), noise(1, 77, D).mul(3)];
  const both = cat(rows.slice(0, 2));
  const third = cat([rows[2]!, rows[0]!]);
  const run = async (prompt: Tensor) => await unet.forward(x, 7, prompt).sample.data();
  const want = [await run(rows[0]!), await run(rows[1]!), await run(rows[2]!)];
  const views = [both.slice(0, 0, 1), both.slice(0, 1), both.slice(0, 0, 1), third.slice(0, 0, 1)];
  const got = [];
  for (const view of [...views, ...views]) got.push(await run(view));
  const expected = [want[0], want[1], want[0], want[2]];
  assert.deepEqual(got, [...expected, ...expected]);
});

Deno.test("a model that is called in every size keeps the traces that were used last, and gives back the others' memory", async () => {
  using device = await openDevice();
  using tiny = await AutoencoderTiny.fromPretrained(fixture("autoencoder_tiny/base"), { dtype: "f32" });
  const run = async (h: number, w: number) => {
    using _made = scope();
    return await tiny.decode(noise(1, tiny.config.latent_channels, h, w)).sample.data();
  };
  const first = await run(2, 3);
  const buffers: number[] = [];
  for (let size = 1; size <= 48; size++) {
    await run(size, 2);
    await run(2, 3); // which so stays
    assert.ok(streamOf(device).plans.length <= 32);
    buffers.push(device.buffers.usage().count);
  }
  assert.ok(buffers[47]! <= buffers[35]!, `${buffers}`);
  assert.deepEqual(await run(2, 3), first);
  const again = await run(1, 2); // whose trace is gone
  tiny.retrace();
  assert.deepEqual(await run(1, 2), again);
});
