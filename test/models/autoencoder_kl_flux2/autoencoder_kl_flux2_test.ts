import assert from "node:assert/strict";
import { parseConfig, unknownKeys } from "../../../src/io/config.ts";
import { AutoencoderKL, AutoencoderKLFlux2 } from "../../../src/models/mod.ts";
import { autoencoderKLFlux2Config } from "../../../src/models/autoencoder_kl_flux2/config.ts";
import { manualSeed, randn } from "../../../src/mod.ts";
import { zeros } from "../../../src/tensor/mod.ts";
import "../../support/device.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import { fixture } from "../../support/fixtures.ts";

const parse = (config: object) => parseConfig(autoencoderKLFlux2Config, config, "vae");
const open = (dtype: "f32" | "f16" = "f32", onNotice?: (line: string) => void) =>
  AutoencoderKLFlux2.fromPretrained(fixture("flux2/pipeline/vae"), { dtype, onNotice });

Deno.test("autoencoderKLFlux2Config fills in diffusers' defaults, which are those of FLUX.2", () => {
  const config = parse({ _class_name: "AutoencoderKLFlux2" });
  assert.deepEqual(
    [config.block_out_channels, config.latent_channels, config.layers_per_block, config.sample_size],
    [[128, 256, 512, 512], 32, 2, 1024],
  );
  const known = {
    force_upcast: true,
    batch_norm_momentum: 0.1,
    decoder_block_out_channels: [96, 192, 384, 384],
  };
  assert.deepEqual(unknownKeys(autoencoderKLFlux2Config, known), []);
});

Deno.test("autoencoderKLFlux2Config tells what is wrong", () => {
  const refuses = (config: object, message: string) =>
    assert.throws(() => parse(config), {
      message: `Cannot load vae: expected ${message}; correct the config`,
    });
  refuses({ patch_size: [2, 4] }, "patch_size[1] to be 2, got 4");
  refuses(
    { decoder_block_out_channels: [32, 32] },
    "decoder_block_out_channels to be 4 numbers, as many as block_out_channels, got [32,32]",
  );
  refuses(
    { decoder_block_out_channels: [32, 40, 64, 64] },
    "norm_num_groups to be a divisor of 40, which is in decoder_block_out_channels, got nothing",
  );
  refuses(
    { up_block_types: ["UpDecoderBlock2D"] },
    'up_block_types to be 4 names, as many as block_out_channels, got ["UpDecoderBlock2D"]',
  );
});

Deno.test("AutoencoderKLFlux2 reads every key, and scales latents there and back", async () => {
  const notices: string[] = [];
  using vae = await open("f32", (line) => notices.push(line));
  assert.deepEqual(notices, []);
  const z = randn([2, 8, 4, 6], { generator: manualSeed(1) });
  const scaled = vae.scaleLatents(z);
  assert.deepEqual(scaled.shape, z.shape);
  assertRelativelyClose(await vae.unscaleLatents(scaled).data(), await z.data(), 1e-5, "back");
  assert.throws(() => vae.scaleLatents(zeros([1, 8, 4, 5])), {
    name: "RangeError",
    message: "Cannot scale latents: expected even sides, got [1, 8, 4, 5]",
  });
  assert.throws(() => vae.unscaleLatents(zeros([1, 32, 2, 2])), {
    message: "Cannot unscale latents: expected shape [B, 8, h, w], got [1, 32, 2, 2]",
  });
});

Deno.test("AutoencoderKLFlux2 in f16 encodes in f32, and decodes once more in f32 where f16 overflowed", async () => {
  const notices: string[] = [];
  using half = await open("f16");
  using full = await open();
  assert.deepEqual([half.activationTypeOf("encode"), half.activationTypeOf("decode")], ["f32", "f16"]);
  const z = randn([1, 8, 4, 4], { generator: manualSeed(2) }).mul(1e5);
  const { sample } = await half.decodeChecked(z, { onNotice: (line) => notices.push(line) });
  assert.deepEqual(notices, ["AutoencoderKLFlux2: f16 overflowed; decoding once more in f32"]);
  assertRelativelyClose(await sample.data(), await full.decode(z).sample.data(), 5e-3, "again");
});

Deno.test("AutoencoderKLFlux2 works in tiles where it is told to", async () => {
  using vae = await open();
  const z = randn([1, 8, 4, 24], { generator: manualSeed(3) });
  const [whole, tiled] = [vae.decode(z).sample, vae.decode(z, { tile: 128 }).sample];
  assert.deepEqual(tiled.shape, [1, 3, 32, 192]);
  assert.notDeepEqual(await tiled.data(), await whole.data());
  const image = randn([1, 3, 32, 192], { generator: manualSeed(4) });
  assert.deepEqual(vae.encode(image, { tile: 128 }).latentDist.mode().shape, [1, 8, 4, 24]);
});

Deno.test("AutoencoderKL and AutoencoderKLFlux2 name each other where a folder holds the other", async () => {
  await assert.rejects(AutoencoderKL.fromPretrained(fixture("flux2/pipeline/vae")), {
    message: /^Cannot load AutoencoderKL: expected its config in .*, got that of "AutoencoderKLFlux2"; /,
  });
});
