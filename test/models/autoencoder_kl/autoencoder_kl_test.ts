import assert from "node:assert/strict";
import { parseConfig } from "../../../src/io/config.ts";
import { manualSeed, tensor } from "../../../src/mod.ts";
import { DiagonalGaussianDistribution, type LoadOptions } from "../../../src/models/mod.ts";
import { autoencoderKLConfig } from "../../../src/models/autoencoder_kl/config.ts";
import { bandsOf } from "../../../src/models/autoencoder_kl/bands.ts";
import { type Tensor, watched, zeros } from "../../../src/tensor/mod.ts";
import type { HostTensor } from "../../support/arrays.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import { loadCase, type ModelCase, readCases } from "../../support/model_cases.ts";
import { assertTensor, upload } from "../../support/tensors.ts";
import { OpenAutoencoderKL } from "../../support/open_autoencoder_kl.ts";
import { device } from "../../support/device.ts";

const bound = 1e-5; // f32; torch itself is some 5e-7 away from f64
const f16Bound = 1e-2;

/** A case of test/fixtures/autoencoder_kl. */
interface Case extends ModelCase {
  tile: number | null;
}

const { cases, caseOf, expected } = await readCases<Case>("autoencoder_kl");
const arrayOf = (name: string, array: string) => expected.get(`${name}/${array}`)!;

for (const each of cases) {
  Deno.test(`AutoencoderKL follows diffusers both ways: ${each.name}`, async () => {
    const notices: string[] = [];
    using vae = await load(each, { dtype: "f32", onNotice: (line) => notices.push(line) });
    assert.deepEqual(notices, []); // every key of the file is read

    const want = (array: string) => arrayOf(each.name, array);
    const options = { tile: each.tile ?? undefined };
    const { mean, logvar } = vae.encode(upload(want("image")), options).latentDist;
    await assertSame(mean, want("mean"), "mean");
    await assertSame(logvar, want("logvar"), "logvar");
    await assertSame(vae.decode(upload(want("z")), options).sample, want("decoded"), "decoded");
  });
}

Deno.test("AutoencoderKL in f16 stays near f32, and computes in f32 where the config says force_upcast", async () => {
  const base = caseOf("base");
  const z = upload(arrayOf("base", "z"));
  using upcast = await load(base, { dtype: "f16" });
  assert.equal(upcast.activationType, "f32");
  await assertSame(upcast.decode(z).sample, arrayOf("base", "decoded"), "upcast"); // its weights are exact in f16

  using half = await load(withConfig(base, { force_upcast: false }), { dtype: "f16" });
  assert.equal(half.activationType, "f16");
  const { sample } = half.decode(z);
  assert.equal(sample.dtype, "f32");
  await assertSame(sample, arrayOf("base", "decoded"), "f16", f16Bound);
  await assertSame(half.decodeIn(z, 3), arrayOf("base", "decoded"), "f16 in bands", f16Bound);
});

Deno.test("AutoencoderKL.decodeChecked() decodes again in f32, and says so, only where f16 overflowed", async () => {
  const base = withConfig(caseOf("base"), { force_upcast: false });
  const z = upload(arrayOf("base", "z"));
  using half = await load(base, { dtype: "f16" });
  using full = await load(base, { dtype: "f32" });
  const notices: string[] = [];
  const onNotice = (line: string) => notices.push(line);

  await half.decodeChecked(z, { onNotice });
  assert.deepEqual(notices, []);
  const { sample } = await half.decodeChecked(z.mul(1e5), { onNotice }); // f16 ends at 65504
  assert.deepEqual(notices, ["OpenAutoencoderKL: f16 overflowed; decoding once more in f32"]);
  const want = await full.decode(z.mul(1e5)).sample.data();
  assertRelativelyClose(await sample.data(), want, bound, "decoded again");
});

Deno.test("AutoencoderKL leaves pictures whole that are no larger than a tile", async () => {
  using vae = await load(caseOf("base"), { dtype: "f32" });
  const { sample } = vae.decode(upload(arrayOf("base", "z")), { tile: 16 });
  await assertSame(sample, arrayOf("base", "decoded"), "decoded");
});

Deno.test("AutoencoderKL scales latents there and back: by a factor, a shift, or each channel's statistics", async () => {
  const latents = tensor([1, 2, 3, 4], [1, 2, 1, 2]);
  const conventions: [object, number[]][] = [
    [{ scaling_factor: 0.5 }, [0.5, 1, 1.5, 2]],
    [{ scaling_factor: 0.5, shift_factor: 1 }, [0, 0.5, 1, 1.5]],
    [{ scaling_factor: 0.5, latents_mean: [1, -1], latents_std: [2, 4] }, [0, 0.25, 0.5, 0.625]],
  ];
  for (const [config, scaled] of conventions) {
    using vae = await load(withConfig(caseOf("base"), config), { dtype: "f32" });
    assert.deepEqual([...await vae.scaleLatents(latents).data()], scaled);
    assert.deepEqual([...await vae.unscaleLatents(vae.scaleLatents(latents)).data()], [1, 2, 3, 4]);
  }
});

Deno.test("DiagonalGaussianDistribution clamps logvar to [-30, 20] and draws mean + std · noise", async () => {
  const moments = tensor([5, 6, 7, Math.log(4), -100, 100], [1, 6, 1, 1]);
  const dist = new DiagonalGaussianDistribution(moments);
  assert.deepEqual([...await dist.mode().data()], [5, 6, 7]);
  assert.deepEqual([...await dist.logvar.data()].slice(1), [-30, 20]);
  const noise = manualSeed(0).randn(3);
  const [first, second] = [...await dist.sample({ generator: manualSeed(0) }).data()] as [number, number];
  assert.ok(Math.abs(first - (5 + 2 * noise[0]!)) < 1e-5);
  assert.ok(Math.abs(second - 6) < 1e-5);
});

Deno.test("AutoencoderKL tells what is wrong with its arguments", async () => {
  using vae = await load(caseOf("base"), { dtype: "f32" });
  assert.throws(() => vae.decode(zeros([1, 4, 8, 8])), {
    name: "RangeError",
    message: "Cannot decode latents: expected shape [B, 2, h, w], got [1, 4, 8, 8]",
  });
  assert.throws(() => vae.encode(zeros([3, 8, 8])), {
    name: "RangeError",
    message: "Cannot encode a picture: expected shape [B, 3, H, W], got [3, 8, 8]",
  });
  assert.throws(() => vae.decode(zeros([1, 2, 64, 64]), { tile: 12 }), {
    name: "RangeError",
    message: "Cannot work in tiles of 12: expected a multiple of 8; e.g. { tile: 64 }",
  });
});

for (const [name, bands] of [["base", 3], ["odd_size", 2], ["odd_size", 8]] as const) {
  Deno.test(`AutoencoderKL computes the same in ${bands} bands: ${name}`, async () => {
    using vae = await load(caseOf(name), { dtype: "f32" });
    const moments = vae.encodeIn(upload(arrayOf(name, "image")), bands);
    await assertSame(moments.chunk(2, 1)[0], arrayOf(name, "mean"), "mean");
    await assertSame(vae.decodeIn(upload(arrayOf(name, "z")), bands), arrayOf(name, "decoded"), "decoded");
  });
}

Deno.test("AutoencoderKL shows parts whole, and takes what is put in their place, in bands too", async () => {
  using vae = await load(caseOf("odd_size"), { dtype: "f32" });
  const z = upload(arrayOf("odd_size", "z"));
  for (const path of ["decoder.up_blocks.0", "decoder.up_blocks.0.resnets.0", "decoder.conv_norm_out"]) {
    const run = async (bands: number) => {
      let seen: Tensor | undefined;
      const visit = (at: string, y: Tensor) => at === path ? (seen = y).mul(1.5) : y;
      const watcher = { wants: (at: string) => at === path, visit };
      const out = watched(watcher, () => vae.decodeIn(z, bands));
      return { part: await seen!.data(), out: await out.data() };
    };
    const [whole, cut] = [await run(1), await run(2)];
    assertRelativelyClose(cut.part, whole.part, bound, path);
    assertRelativelyClose(cut.out, whole.out, bound, `the picture behind ${path}`);
  }
});

Deno.test("bandsOf() takes pictures in bands where an activation is larger than the limit", () => {
  const config = parseConfig(autoencoderKLConfig, {
    block_out_channels: [128, 256, 512, 512],
    down_block_types: Array(4).fill("DownEncoderBlock2D"),
    up_block_types: Array(4).fill("UpDecoderBlock2D"),
  }, "vae");
  const z = zeros([1, 4, 8, 8]); // is named in messages only
  const bands = (verb: "encode" | "decode", side: number, rest: object = {}) =>
    bandsOf(z, { verb, B: 1, H: side, W: side, bytes: 4, ...rest }, config, 128 << 20);
  assert.equal(bands("decode", 256), 1); // 256 channels: 64 MiB
  assert.equal(bands("decode", 512), 3); // 256 MiB, and two rows of neighbours
  assert.equal(bands("encode", 512), 1); // 128 channels: 128 MiB
  assert.equal(bands("encode", 520), 2);
  assert.equal(bands("decode", 512, { bytes: 2 }), 1);
  assert.throws(() => bands("decode", 4096), {
    name: "RangeError",
    message: `Cannot decode [1, 4, 8, 8]: expected activations of at most ${128 << 20} bytes on ` +
      `${device.adapterName}, got ${512 << 20}; ` +
      "decode in tiles, e.g. { tile: 512 }, or in smaller batches",
  });
});

const changes: [object, string][] = [
  [{ down_block_types: ["AttnDownEncoderBlock2D", "DownEncoderBlock2D"] }, "down_block_types[0] to be"],
  [{ up_block_types: ["UpDecoderBlock2D"] }, "up_block_types to be 2 names, as many as block_out_channels"],
  [{ norm_num_groups: 4 }, "norm_num_groups to be a divisor of 6, which is in block_out_channels, got 4"],
  [{ latents_mean: [1], latents_std: [1, 1] }, "latents_mean to be 2 numbers, one a latent channel, got [1]"],
  [{ latents_std: [1, 1] }, "latents_mean to be a list, as latents_std is one, got "],
  [{ _class_name: "AutoencoderTiny" }, '_class_name to be "AutoencoderKL", got "AutoencoderTiny"'],
  [{ scaling_factor: 0 }, "scaling_factor to be more than 0, got 0"],
];
for (const [change, problem] of changes) {
  Deno.test(`autoencoderKLConfig refuses ${JSON.stringify(change)}`, () => {
    assert.throws(() => parseConfig(autoencoderKLConfig, { ...caseOf("base").config, ...change }, "vae"), {
      name: "TypeError",
      message: new RegExp(`^Cannot load vae: expected ${RegExp.escape(problem)}`),
    });
  });
}

Deno.test("autoencoderKLConfig fills in diffusers' defaults", () => {
  const { scaling_factor, force_upcast, use_quant_conv, latent_channels, shift_factor } = parseConfig(
    autoencoderKLConfig,
    {},
    "vae",
  );
  assert.deepEqual({ scaling_factor, force_upcast, use_quant_conv, latent_channels, shift_factor }, {
    scaling_factor: 0.18215,
    force_upcast: true,
    use_quant_conv: true,
    latent_channels: 4,
    shift_factor: null,
  });
});

function withConfig(each: Case, config: object): Case {
  return { ...each, config: { ...each.config, ...config } };
}

function load(made: Case, options: LoadOptions): Promise<OpenAutoencoderKL> {
  return loadCase(OpenAutoencoderKL, "autoencoder_kl", made, options);
}

function assertSame(got: Tensor, want: HostTensor, what: string, limit = bound): Promise<void> {
  return assertTensor(got, want, limit, what);
}
