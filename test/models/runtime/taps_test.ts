import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { streamOf } from "../../../src/graph/run/stream.ts";
import { AutoencoderKL } from "../../../src/models/mod.ts";
import { zeros } from "../../../src/tensor/mod.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import { testOnBothEngines } from "../../support/engines.ts";
import { fixture } from "../../support/fixtures.ts";
import { baseInputs, loadBase, parts } from "../../support/unet_base.ts";

const bound = 1e-5; // f32
const maps = [...parts.keys()].filter((name) => name.startsWith("maps/")).map((name) => name.slice(5));

testOnBothEngines(
  "forward({ taps }) gives maps of attention as diffusers computes them, and the same sample",
  async () => {
    using unet = await loadBase();
    const plain = await unet.forward(...baseInputs()).sample.data();
    const taps = maps.map((path) => `${path}.attention_probs`);
    const tapped = unet.forward(...baseInputs(), { taps });
    assertRelativelyClose(await tapped.sample.data(), plain, bound, "sample");
    for (const path of maps) {
      const [want, got] = [parts.get(`maps/${path}`)!, tapped.taps[`${path}.attention_probs`]!];
      assert.deepEqual(got.shape, want.shape);
      assertRelativelyClose(await got.data(), want.data, bound, path);
    }
  },
);

Deno.test("a model that is not tapped or edited dispatches what it did, and maps are computed only where asked for", async () => {
  using device = await openDevice({ engine: "dawn" });
  using unet = await loadBase();
  const count = async (taps: string[] = []) => {
    await unet.forward(...baseInputs(), { taps }).sample.data();
    return streamOf(device).statistics.dispatches;
  };
  const plain = await count();
  assert.doesNotMatch(device.dump(), /softmax/); // attention is one dispatch
  await count([`${maps[0]}.attention_probs`]);
  assert.match(device.dump(), /softmax/);
  using edit = unet.edit("mid_block", (x) => x);
  assert.equal(await count(), plain);
  edit.remove();
  assert.equal(await count(), plain);
});

testOnBothEngines("forward({ taps }) gives the last of several results by the path alone", async () => {
  using unet = await loadBase();
  assert.deepEqual(unet.paths.filter((path) => /^down_blocks.0.\d$/.test(path)), [
    "down_blocks.0.0",
    "down_blocks.0.1",
  ]);
  const { taps } = unet.forward(...baseInputs(), {
    taps: ["down_blocks.0", "down_blocks.0.1", "down_blocks.0"],
  });
  assert.deepEqual(Object.keys(taps), ["down_blocks.0", "down_blocks.0.1"]);
  assert.deepEqual(await taps["down_blocks.0"].data(), await taps["down_blocks.0.1"].data());
});

testOnBothEngines(
  "forward({ taps }) refuses a path that is none in one line with the nearest, and works on",
  async () => {
    using unet = await loadBase();
    assert.throws(() => unet.forward(...baseInputs(), { taps: ["mid_blok"] }), {
      name: "RangeError",
      message:
        'Cannot tap UNet2DConditionModel at "mid_blok": no such part; nearest are "mid_block", "time_proj", "up_blocks.0"; ' +
        "`paths` of the model lists all",
    });
    await unet.forward(...baseInputs(), { taps: ["mid_block"] }).taps.mid_block.data();
  },
);

testOnBothEngines("AutoencoderKL taps either way, but not in tiles", async () => {
  using vae = await AutoencoderKL.fromPretrained(fixture("flux/pipeline/vae"), {
    dtype: "f32",
    onNotice: () => {},
  });
  const z = zeros([1, vae.config.latent_channels, 4, 4]);
  const { taps } = vae.decode(z, { taps: ["decoder.mid_block.attentions.0.attention_probs"] });
  const probs = taps["decoder.mid_block.attentions.0.attention_probs"];
  assert.deepEqual(probs.shape, [1, 1, 16, 16]);
  for (const row of await probs.sum(-1).data()) assert.ok(Math.abs(row - 1) < 1e-5);
  assert.throws(
    () => vae.decode(z, { taps: ["encoder.conv_in"] }),
    /^RangeError: Cannot tap AutoencoderKL at "encoder.conv_in": no such part; nearest are "decoder.conv_in"/,
  );
  assert.throws(
    () => vae.decode(zeros([1, vae.config.latent_channels, 32, 32]), { tile: 32, taps: ["decoder"] }),
    {
      name: "TypeError",
      message: "Cannot tap AutoencoderKL in tiles: each has parts of its own; leave out tile, or taps",
    },
  );
});
