import assert from "node:assert/strict";
import { randn } from "../../../src/mod.ts";
import { FluxTransformer2DModel, loadLora, UNet2DModel } from "../../../src/models/mod.ts";
import { imageIds, textIds } from "../../../src/models/flux_transformer_2d/pos_embed.ts";
import { manualSeed } from "../../../src/random/mod.ts";
import { testOnBothEngines } from "../../support/engines.ts";
import { fixture } from "../../support/fixtures.ts";

const noise = (...shape: number[]) => randn(shape, { generator: manualSeed(shape.length) });
const kohya = fixture("flux/lora/kohya.safetensors"); // on layers of either part
const SMALL = 4096; // bytes of constants of traces, which the garbage collector frees

testOnBothEngines("a model gives the same bits where entry points take turns in memory", async (device) => {
  const before = device.buffers.usage().bytes;
  using model = await open();
  const { conditions, given, x } = inputs();
  await model.load();
  const want = await model.forward(x, { ...given, modulation: model.condition([1, 0.5], conditions).at(1) })
    .sample.data();
  const inline = await model.forward(x, { ...given, ...conditions, timestep: 0.5 }).sample.data();

  const only = (entry: string) => model.bytesAs({}, entry);
  assert.equal(only("condition") + only("step"), model.bytes);
  for (let time = 0; time < 2; time++) {
    await model.load({ only: "condition" }); // the first time all are there
    assert.equal(model.loaded, true);
    using modulation = model.condition([1, 0.5], conditions);
    model.unload();
    await model.load({ only: "condition" });
    const again = model.condition([1, 0.5], conditions);
    await model.load({ only: "step" }); // in place of the others, whose work is recorded only
    const own = device.buffers.usage().bytes - before;
    assert.ok(own > only("step") && own < model.bytes + model.workspace, `${own}`);
    for (const made of [modulation, again]) {
      assert.deepEqual(await model.forward(x, { ...given, modulation: made.at(1) }).sample.data(), want);
    }
    assert.throws(() => model.forward(x, { ...given, ...conditions, timestep: 0.5 }), {
      message: 'Cannot run FluxTransformer2DModel: of its weights only those of "step" are in memory; ' +
        "await its load() first",
    });
    assert.throws(() => model.condition([1], conditions), /only those of "step" are in memory/);
  }
  await model.load();
  assert.deepEqual(await model.forward(x, { ...given, ...conditions, timestep: 0.5 }).sample.data(), inline);
});

testOnBothEngines("what was baked into weights comes back with each part of them", async () => {
  using model = await open();
  const { conditions, given, x } = inputs();
  await model.load();
  await loadLora(kohya, { transformer: model }, { onNotice: () => {} });
  await model.adapters.bake();
  const want = await model.forward(x, { ...given, modulation: model.condition([1], conditions).at(0) })
    .sample.data();
  model.unload();
  await model.load({ only: "condition" });
  using modulation = model.condition([1], conditions);
  await model.load({ only: "step" });
  assert.deepEqual(await model.forward(x, { ...given, modulation: modulation.at(0) }).sample.data(), want);
});

testOnBothEngines("callers that want different parts at once get theirs, one after the other", async () => {
  using model = await open();
  const { given, conditions, x } = inputs();
  const loads = [{ only: "condition" }, { only: "step" }, {}].map((options) => model.load(options));
  await Promise.all(loads);
  await model.forward(x, { ...given, ...conditions, timestep: 1 }).sample.data();
});

testOnBothEngines(
  "parts that are needed stay beside each other; a part that nobody needs makes room",
  async (device) => {
    using model = await open();
    const { given, conditions, x } = inputs();
    await Promise.all([model.load({ only: "condition" }), model.load({ only: "step" })]);
    const run = async () => {
      using modulation = model.condition([1], conditions);
      return await model.forward(x, { ...given, modulation: modulation.at(0) }).sample.data();
    };
    const want = await run(); // either load had what it asked for

    model.unload();
    {
      using _condition = await model.acquire({ only: "condition" });
      using _again = await model.acquire({ only: "condition" });
      await model.load({ only: "step" });
      assert.deepEqual(await run(), want);
      const bytes = device.buffers.usage().bytes;
      await model.load(); // all are there
      assert.ok(device.buffers.usage().bytes <= bytes);
    }
    model.unload();
    const lease = await model.acquire({ only: "condition" });
    lease[Symbol.dispose]();
    lease[Symbol.dispose](); // counts once
    using _other = await model.acquire({ only: "condition" });
    await model.load({ only: "step" });
    assert.deepEqual(await run(), want);

    model.unload(); // whoever needs them
    assert.equal(model.loaded, false);
    await model.load({ only: "step" });
    await assert.rejects(run(), /only those of "step" are in memory/);
  },
);

testOnBothEngines("weights that are let go while they load are not in memory in the end", async (device) => {
  using model = await open();
  await loadLora(kohya, { transformer: model }, { onNotice: () => {} });
  const loads = [model.load({ only: "condition" }), model.load({ only: "step" })];
  await Promise.resolve(); // the first is under way
  model.unload();
  await Promise.all(loads);
  assert.equal(model.loaded, false);
  await model.load({ only: "step" }); // waits for what is on its way out
  model.unload();
  await device.idle();
  assert.ok(device.buffers.usage().bytes < SMALL, `${device.buffers.usage().bytes}`);
});

testOnBothEngines("of two loads at once one may fail", async () => {
  using model = await open();
  const [failed, done] = await Promise.allSettled([
    model.load({ only: "condition", signal: AbortSignal.abort() }),
    model.load({ only: "step" }),
  ]);
  assert.deepEqual([failed.status, done.status], ["rejected", "fulfilled"]);
  assert.equal(model.needed, false);
  const { given, conditions, x } = inputs();
  assert.throws(() => model.condition([1], conditions), /only those of "step" are in memory/);
  await model.load();
  await model.forward(x, { ...given, ...conditions, timestep: 1 }).sample.data();
});

testOnBothEngines("a model that is disposed while it loads says so", async (device) => {
  const model = await open();
  const loads = [model.load(), model.acquire({ only: "step" })];
  model[Symbol.dispose]();
  for (const load of loads) await assert.rejects(load, { message: /it was disposed; load it again$/ });
  await assert.rejects(model.load(), { message: /it was disposed; load it again$/ });
  assert.equal(model.loaded, false);
  await device.idle();
  assert.ok(device.buffers.usage().bytes < SMALL, `${device.buffers.usage().bytes}`);
});

testOnBothEngines("an entry point that a model has not is refused", async () => {
  using model = await UNet2DModel.fromPretrained(fixture("ddpm/pipeline"), {
    subfolder: "unet",
    defer: true,
  });
  await assert.rejects(model.load({ only: "decode" }), {
    name: "RangeError",
    message: 'Cannot load only what "decode" reads: expected one of forward',
  });
});

function open(): Promise<FluxTransformer2DModel> {
  return FluxTransformer2DModel.fromPretrained(fixture("flux/pipeline"), {
    subfolder: "transformer",
    dtype: "f32",
    defer: true,
  });
}

function inputs() {
  return {
    conditions: { pooledProjections: noise(1, 12), guidance: 3.5 },
    given: { encoderHiddenStates: noise(1, 5, 16), imgIds: imageIds([4, 6]), txtIds: textIds(5) },
    x: noise(1, 6, 64),
  };
}
