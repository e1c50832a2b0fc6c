import assert from "node:assert/strict";
import { progress, randn, scope, type Tensor } from "../../../src/mod.ts";
import {
  FluxTransformer2DModel,
  type LoadOptions,
  T5EncoderModel,
  UNet2DModel,
} from "../../../src/models/mod.ts";
import { PIECE } from "../../../src/io/upload/converter.ts";
import { imageIds, textIds } from "../../../src/models/flux_transformer_2d/pos_embed.ts";
import { manualSeed } from "../../../src/random/mod.ts";
import { testOnBothEngines } from "../../support/engines.ts";
import { fixture } from "../../support/fixtures.ts";

const stream = { chunk: 12 << 10 };
const noise = (...shape: number[]) => randn(shape, { generator: manualSeed(shape.length) });

testOnBothEngines("a streamed UNet gives the same bits as one in memory, again and again", async (device) => {
  using whole = await unet({});
  const x = noise(1, 3, 32, 32);
  const want = await Promise.all([500, 20, 20].map((t) => whole.forward(x, t).sample.data()));
  whole.unload();

  using streamed = await unet({ stream });
  assert.ok(streamed.bytes < whole.bytes / 3);
  for (const [i, t] of [500, 20, 20].entries()) {
    assert.deepEqual(await streamed.forward(x, t).sample.data(), want[i], `run ${i}`);
  }
  const both = [streamed.forward(x, 500).sample, streamed.forward(x, 20).sample]; // in one submission
  assert.deepEqual(await Promise.all(both.map((y) => y.data())), want.slice(0, 2));
  await device.idle();
});

testOnBothEngines("a streamed model never takes the memory of all its weights", async (device) => {
  const before = device.buffers.usage().bytes;
  using streamed = await unet({ stream });
  const own = () => device.buffers.usage().bytes - before - PIECE; // of which one is on its way
  const { bytes, workspace } = streamed;
  const whole = streamed.bytesAs({ stream: undefined });
  assert.ok(bytes < whole / 3, `${bytes} of ${whole}`);
  assert.ok(own() < bytes + 20_000, `${own()}`);
  const x = noise(1, 3, 32, 32);
  let most = 0;
  for (let i = 0; i < 3; i++) {
    const { sample } = streamed.forward(x, i);
    await sample.data();
    most = Math.max(most, own());
  }
  assert.ok(most < bytes + 2 * workspace && most < whole + workspace, `${most}`);
  const held = own();
  streamed.unload();
  assert.ok(own() <= held - bytes, `${own()} of ${held}`);
});

testOnBothEngines("a streamed model runs in a loop of steps as one in memory does", async () => {
  const results: Float32Array[] = [];
  for (const options of [{}, { stream }, { stream: { ...stream, keep: 60_000 } }]) {
    using model = await unet(options);
    let x = noise(1, 3, 32, 32);
    for await (const t of progress([900, 600, 300, 0], { write: false })) {
      using step = scope(x);
      x = step.keep(x.sub(model.forward(x, t).sample.mul(0.1)));
    }
    results.push(await x.data() as Float32Array);
  }
  assert.deepEqual(results[1], results[0]);
  assert.deepEqual(results[2], results[0]);
});

testOnBothEngines(
  "a streamed FLUX transformer gives the same bits, with and without modulation made before",
  async () => {
    const results: Record<string, ArrayLike<number>>[] = [];
    for (const options of [{}, { stream: { chunk: 8 << 10 } }]) {
      using model = await FluxTransformer2DModel.fromPretrained(fixture("flux/pipeline"), {
        subfolder: "transformer",
        dtype: "f32",
        ...options,
      });
      const conditions = { pooledProjections: noise(1, 12), guidance: 3.5 };
      const given = { encoderHiddenStates: noise(1, 5, 16), imgIds: imageIds([4, 6]), txtIds: textIds(5) };
      const x = noise(1, 6, 64);
      const modulations = model.condition([1, 0.5], conditions);
      const told = modulations.at(1);
      results.push({
        told: await told.data(),
        before: await model.forward(x, { ...given, modulation: told }).sample.data(),
        within: await model.forward(x, { ...given, ...conditions, timestep: 0.5 }).sample.data(),
      });
    }
    assert.deepEqual(results[1], results[0]);
  },
);

testOnBothEngines(
  "what a transformer that is not loaded is told of time cannot be computed, in one line",
  async () => {
    using model = await FluxTransformer2DModel.fromPretrained(fixture("flux/pipeline"), {
      subfolder: "transformer",
      dtype: "f32",
      defer: true,
    });
    const told = () => model.condition([1], { pooledProjections: noise(1, 12), guidance: 3.5 }).at(0).data();
    await assert.rejects(async () => await told(), /^Error: Cannot .*in memory; await its load\(\) first$/);
  },
);

testOnBothEngines("a streamed T5 encoder gives the same bits", async () => {
  const results: ArrayLike<number>[] = [];
  for (const options of [{}, { stream: { chunk: 8 << 10 } }]) {
    using model = await T5EncoderModel.fromPretrained(fixture("flux/pipeline"), {
      subfolder: "text_encoder_2",
      dtype: "f32",
      ...options,
    });
    results.push(await model.forward([[5, 6, 7, 1]]).lastHiddenState.data());
  }
  assert.deepEqual(results[1], results[0]);
});

testOnBothEngines(
  "work that is recorded, kept and freed while a streamed run is under way is not lost",
  async () => {
    using model = await unet({ stream });
    const x = noise(1, 3, 32, 32);
    const want = await model.forward(x, 7).sample.mul(2).data();
    const first = model.forward(x, 7).sample;
    const running = first.data();
    await new Promise((resolve) => setTimeout(resolve)); // it is under way now
    let second: Tensor;
    {
      using made = scope();
      second = made.keep(first.mul(2));
      x.mul(3);
    }
    const third = model.forward(x, 7).sample.mul(2);
    const [, a, b] = await Promise.all([running, second.data(), third.data()]);
    assert.deepEqual(a, want);
    assert.deepEqual(b, want);
  },
);

testOnBothEngines(
  "a streamed run whose file is gone says so, and the model can be unloaded",
  async (device) => {
    const folder = await Deno.makeTempDir();
    try {
      for (const name of ["config.json", "diffusion_pytorch_model.safetensors"]) {
        await Deno.copyFile(`${fixture("ddpm/pipeline/unet")}/${name}`, `${folder}/${name}`);
      }
      using model = await UNet2DModel.fromPretrained(folder, { dtype: "f32", stream });
      await Deno.truncate(`${folder}/diffusion_pytorch_model.safetensors`, 1000);
      const { sample } = model.forward(noise(1, 3, 16, 16), 7);
      await assert.rejects(
        sample.data(),
        /^\w*Error: Cannot load .*: expected .*bytes as when it was opened/,
      );
      model.unload();
      await device.idle();
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

function unet(options: LoadOptions): Promise<UNet2DModel> {
  return UNet2DModel.fromPretrained(fixture("ddpm/pipeline"), {
    subfolder: "unet",
    dtype: "f32",
    ...options,
  });
}
