import assert from "node:assert/strict";
import { join } from "node:path";
import { randn } from "../../../src/mod.ts";
import { AutoencoderTiny } from "../../../src/models/mod.ts";
import { reach } from "../../../src/models/autoencoder_tiny/coders.ts";
import { autoencoderTinyConfig } from "../../../src/models/autoencoder_tiny/config.ts";
import { parseConfig } from "../../../src/io/config.ts";
import { readTensors } from "../../support/arrays.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import { TestFolder } from "../../support/files.ts";
import { fixture } from "../../support/fixtures.ts";
import { assertTensor, upload } from "../../support/tensors.ts";
import { device } from "../../support/device.ts";

const folder = (name: string) => fixture(join("autoencoder_tiny", name));
const bound = 1e-5; // f32

/** TAEF2 is a file without a config. */
const open = (name: string, dtype: "f32" | "f16" = "f32") =>
  AutoencoderTiny.fromPretrained(join(folder(name), name === "taef2" ? "taef2.safetensors" : ""), { dtype });

for (const name of ["base", "shallow", "taef2"]) {
  Deno.test(`AutoencoderTiny follows diffusers both ways: ${name}`, async () => {
    using vae = await open(name);
    const want = await readTensors(join(folder(name), "expected.safetensors"));
    const encoderPaths = ["encoder", "encoder.layers.2"] as const;
    const decoderPaths = name !== "shallow" ? ["decoder", "decoder.layers.2"] as const : ["decoder"] as const;
    const { latents, taps: encoded } = vae.encode(upload(want.get("image")!), { taps: encoderPaths });
    const { sample, taps: decoded } = vae.decode(upload(want.get("z")!), { taps: decoderPaths });
    await assertTensor(latents, want.get("latents")!, bound, "latents");
    await assertTensor(sample, want.get("sample")!, bound, "sample");
    for (const [path, tap] of Object.entries({ ...encoded, ...decoded })) {
      if (path !== "decoder") await assertTensor(tap, want.get(`tap.${path}`)!, bound, path);
    }
  });
}

Deno.test("AutoencoderTiny knows all keys of the configs that diffusers writes", async () => {
  const onNotice = (line: string) => assert.fail(line);
  using _vae = await AutoencoderTiny.fromPretrained(folder("base"), { onNotice });
});

Deno.test("AutoencoderTiny in bands computes what it computes at once", async () => {
  using vae = await AutoencoderTiny.fromPretrained(folder("base"), { dtype: "f32" });
  const image = randn([1, 3, 420, 16]);
  const z = randn([1, 4, 100, 2]);
  const whole = [await vae.encode(image).latents.data(), await vae.decode(z).sample.data()];
  const row = 4 * 16 * 4; // bytes of a row of pixels of an activation: channels, width, f32
  for (const [verb, rows, unit] of [["encode", 1, 8], ["decode", 8, 1]] as const) {
    const halo = Math.ceil(reach(verb, vae.config) / unit) * unit;
    const binds = (2 * halo + 3 * unit) * rows * row; // three latents' rows a band
    const code = (taps: string[]) =>
      verb === "encode" ? vae.encode(image, { taps }).latents : vae.decode(z, { taps }).sample;
    const limit = limited(vae, binds);
    assert.throws(() => code([`${verb}r`]), /Cannot tap AutoencoderTiny at \[.*\]: the adapter binds less/);
    const banded = code([]);
    limit[Symbol.dispose](); // such an adapter does not take the whole picture in one tensor
    assertRelativelyClose(await banded.data(), whole[verb === "encode" ? 0 : 1]!, 1e-6, verb);
  }
  using _limit = limited(vae, row * 8);
  assert.throws(
    () => vae.decode(z),
    /^RangeError: Cannot decode \[1, 4, 100, 2\]: expected activations of at most/,
  );
});

Deno.test("an autoencoder that sees the whole picture refuses to work in bands", async () => {
  using vae = await open("taef2");
  using _limit = limited(vae, 100_000);
  assert.throws(
    () => vae.decode(randn([1, 8, 100, 2])),
    /^RangeError: Cannot decode \[1, 8, 100, 2\]: the adapter binds less .* sees the whole picture; take a smaller/,
  );
});

Deno.test("the config of a tiny autoencoder without one follows from its keys", async () => {
  using vae = await open("taef2");
  const { latent_channels, num_encoder_blocks, num_decoder_blocks, encoder_block_out_channels } = vae.config;
  assert.deepEqual({ latent_channels, num_encoder_blocks, num_decoder_blocks, encoder_block_out_channels }, {
    latent_channels: 8,
    num_encoder_blocks: [1, 3, 3, 3],
    num_decoder_blocks: [3, 3, 3, 1],
    encoder_block_out_channels: [4, 4, 4, 4],
  });
  using folder = new TestFolder(); // of other numbers of blocks, under names without a config
  const shallow = await Deno.readFile(
    join(fixture("autoencoder_tiny/shallow"), "diffusion_pytorch_model.safetensors"),
  );
  using other = await AutoencoderTiny.fromPretrained(folder.write("tiny.safetensors", shallow), {
    subfolder: "vae",
  });
  assert.deepEqual(other.config.num_encoder_blocks, [2, 1]);
  assert.deepEqual(other.config.num_decoder_blocks, [0, 2]);
  assert.deepEqual([other.config.latent_channels, other.scaleFactor], [16, 2]);
});

/** Makes a device say that it binds no more, until what is returned is disposed. */
function limited(vae: AutoencoderTiny, bytes: number): Disposable {
  const { limits } = vae.device;
  const own = Object.getOwnPropertyDescriptor(vae.device, "limits");
  const smaller = new Proxy(limits, {
    get: (target, key) => key === "maxStorageBufferBindingSize" ? bytes : Reflect.get(target, key, target),
  });
  Object.defineProperty(vae.device, "limits", { value: smaller, configurable: true, writable: true });
  return {
    [Symbol.dispose]: () => {
      if (own) Object.defineProperty(vae.device, "limits", own);
      else delete (vae.device as { limits?: unknown }).limits;
    },
  };
}

for (const name of ["base", "taef2"]) {
  Deno.test(`AutoencoderTiny in f16 stays near f32: ${name}`, async () => {
    using vae = await open(name, "f16");
    const want = await readTensors(join(folder(name), "expected.safetensors"));
    await assertTensor(vae.decode(upload(want.get("z")!)).sample, want.get("sample")!, 1e-2, "sample");
  });
}

Deno.test("AutoencoderTiny refuses configs that no layer of it fits, by key", () => {
  const wrong: [object, RegExp][] = [
    [{ encoder_block_out_channels: [4, 8, 8, 8] }, /encoder_block_out_channels.*one number throughout/],
    [{ num_decoder_blocks: [1, 2] }, /decoder_block_out_channels.*2 numbers/],
    [{ upsample_fn: "bilinear" }, /upsample_fn/],
    [{ upsampling_scaling_factor: 3 }, /upsampling_scaling_factor/],
  ];
  for (const [config, message] of wrong) {
    assert.throws(() => parseConfig(autoencoderTinyConfig, config, "config.json"), message);
  }
});

Deno.test("AutoencoderTiny refuses inputs of other shapes", async () => {
  using vae = await AutoencoderTiny.fromPretrained(folder("base"), { dtype: "f32" });
  assert.equal(vae.device, device);
  assert.throws(
    () => vae.decode(randn([1, 3, 4, 4])),
    /Cannot decode latents: expected shape \[B, 4, h, w\], got/,
  );
  assert.throws(
    () => vae.encode(randn([1, 4, 16, 16])),
    /Cannot encode a picture: expected shape \[B, 3, H, W\]/,
  );
});
