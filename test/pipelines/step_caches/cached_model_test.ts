import assert from "node:assert/strict";
import {
  DeviceLostError,
  GPUCommandError,
  manualSeed,
  openDevice,
  OutOfMemoryError,
  randn,
  scope,
} from "../../../src/mod.ts";
import { streamOf } from "../../../src/graph/run/stream.ts";
import { free } from "../../../src/tensor/mod.ts";
import { FluxTransformer2DModel, UNet2DConditionModel } from "../../../src/models/mod.ts";
import { imageIds, textIds } from "../../../src/models/flux_transformer_2d/pos_embed.ts";
import { stagesOf } from "../../../src/pipelines/memory/stages.ts";
import {
  easyCache,
  firstBlockCache,
  FluxPipeline,
  StableDiffusionPipeline,
  type StepCache,
  teaCache,
} from "../../../src/pipelines/mod.ts";
import { device } from "../../support/device.ts";
import { emoji } from "../../support/emoji.ts";
import { type Fault, inject } from "../../support/faults.ts";
import { fixture } from "../../support/fixtures.ts";
import { assertRefused } from "../../support/refused.ts";
import { assertTensor, onHost } from "../../support/tensors.ts";

const loading = { dtype: "f32", onNotice: () => {} } as const;
const small = { height: 48, width: 64, numInferenceSteps: 6, outputType: "latent", progress: false } as const;

let flux: FluxPipeline;
let transformer: FluxTransformer2DModel;
Deno.test.beforeAll(async () => {
  flux = await FluxPipeline.fromPretrained(fixture("flux/pipeline"), loading);
  transformer = await FluxTransformer2DModel.fromPretrained(fixture("flux/pipeline/transformer"), loading);
  await transformer.load();
});
Deno.test.afterAll(() => [flux, transformer, device].forEach((one) => one[Symbol.dispose]()));

/** Arguments of a call for pictures of h × w latents, which differ a little from step to step. */
function callAt(
  step: number,
  [h, w]: [number, number] = [6, 8],
  rows = 1,
  { config } = transformer,
) {
  const random = (shape: number[], seed: number) => randn(shape, { generator: manualSeed(seed) });
  const { in_channels, joint_attention_dim, pooled_projection_dim } = config;
  return [
    random([rows, h * w / 4, in_channels], 1).add(
      random([rows, h * w / 4, in_channels], 2).mul(step / 5000),
    ),
    {
      encoderHiddenStates: random([rows, 5, joint_attention_dim], 3),
      imgIds: imageIds([h, w]),
      txtIds: textIds(5),
      timestep: 1 - step / 5000,
      pooledProjections: random([rows, pooled_projection_dim], 4),
      guidance: 3.5,
    },
  ] as const;
}

Deno.test("the parts of a call give together what the whole call gives, and run no more than their shares", async () => {
  const dispatches = (run: () => unknown) => {
    transformer.retrace();
    run();
    return streamOf(device).plans.filter(({ label }) => label === "FluxTransformer2DModel").at(-1)!.size;
  };
  const args = callAt(0);
  const parts = transformer.blockParts(...args);
  const { sample } = transformer.forward(...args);
  const want = await onHost(sample);
  const first = parts.first();
  const rest = parts.rest(first);
  await assertTensor(rest.sample, want, 1e-5, "first block, then the others");
  await assertTensor(parts.behind(first.image, rest.residual), want, 1e-5, "what they added");
  const whole = parts.whole();
  await assertTensor(whole.sample, want, 1e-5, "whole");
  await assertTensor(parts.behind(parts.front().image, whole.residual), want, 1e-5, "what all blocks added");

  const all = dispatches(() => transformer.forward(...args));
  const begin = dispatches(() => parts.first());
  const end = dispatches(() => parts.rest(first));
  const skip = dispatches(() => parts.behind(first.image, rest.residual));
  assert.ok(begin < all / 2 && end < all && begin + end < 1.3 * all, `${begin} and ${end} of ${all}`);
  assert.ok(skip < begin, `${skip} of ${begin}`);
});

Deno.test("a loop's cached model runs the model where it has to, for any size and number of rows", async () => {
  using cached = firstBlockCache({ threshold: 0.2 }).begin(transformer, 9);
  const sizes: [number, number][] = [[6, 8], [6, 8], [6, 8], [4, 4], [4, 4]];
  const computed: number[] = [];
  for (const [step, size] of sizes.entries()) {
    using _step = scope();
    const args = callAt(step, size, step < 4 ? 1 : 2);
    const { sample } = await cached.forward(...args);
    computed.push(cached.computed);
    const { sample: want } = transformer.forward(...args);
    const isWhole = cached.computed > (computed.at(-2) ?? 0);
    await assertTensor(sample, await onHost(want), isWhole ? 1e-5 : 0.5, `step ${step}`);
  }
  assert.deepEqual(computed, [1, 1, 1, 2, 3]);
  assert.equal(cached.reused, 2);
});

Deno.test("a threshold that nothing is under changes nothing, whatever the cache", async () => {
  const draw = async (cache?: StepCache) => {
    const options = {
      prompt: "a nice flower",
      negativePrompt: "ugly",
      trueCfgScale: 2,
      maxSequenceLength: 24,
    };
    const { latents } = await flux.run({
      ...small,
      ...options,
      cache,
      generator: manualSeed(1),
      onNotice: () => {},
    });
    return latents;
  };
  const want = await onHost(await draw());
  for (const cache of [firstBlockCache, teaCache, easyCache]) {
    await assertTensor(await draw(cache({ threshold: -1 })), want, 1e-5, cache.name);
  }
});

Deno.test("runs begin anew, alone and side by side, and leave no memory taken", async () => {
  const cache = firstBlockCache({ threshold: 0.9 });
  const draw = async () => {
    const options = { prompt: "the sun", maxSequenceLength: 24, generator: manualSeed(2) };
    const { latents } = await flux.run({ ...small, ...options, cache });
    const host = await onHost(latents);
    free(latents);
    return host;
  };
  const first = await draw();
  await draw();
  const before = device.buffers.usage().bytes;
  const [second, third] = await Promise.all([draw(), draw()]);
  assert.deepEqual([second.data, third.data], [first.data, first.data]);
  await draw();
  await device.idle();
  assert.equal(device.buffers.usage().bytes, before);
});

Deno.test("LoRAs may change while a run is cached", async () => {
  const adapterName = "style";
  await flux.loadLoraWeights(fixture("flux/lora/kohya.safetensors"), { adapterName, scale: 0 });
  const draw = async (onStep?: () => unknown) => {
    const options = { prompt: "the sun", maxSequenceLength: 24, generator: manualSeed(2), onStep };
    const { latents } = await flux.run({ ...small, ...options, cache: firstBlockCache({ threshold: 0.3 }) });
    return await onHost(latents);
  };
  const without = await draw();
  const changed = await draw(() => flux.setAdapters(adapterName, 1));
  await flux.unloadLora(adapterName);
  assert.notDeepEqual(changed.data, without.data);
});

Deno.test("a cached run passes the check for NaN and infinity, with the same latents", async () => {
  using checking = await openDevice({ check: "finite" });
  using pipeline = await FluxPipeline.fromPretrained(fixture("flux/pipeline"), loading);
  assert.equal(pipeline.parts.transformer.device, checking);
  const draw = async (pipeline: FluxPipeline) => {
    const options = { prompt: "the sun", maxSequenceLength: 24, generator: manualSeed(2) };
    return await onHost(
      (await pipeline.run({ ...small, ...options, cache: firstBlockCache({ threshold: 0.9 }) })).latents,
    );
  };
  const latents = await draw(pipeline);
  assert.ok(Array.from(latents.data).every(Number.isFinite));
  assert.equal(latents.data.length, 12 * 64);
});

const memoryCases = {
  firstBlockCache: firstBlockCache({ threshold: 0.9 }),
  easyCache: easyCache(),
};
for (const [what, cache] of Object.entries(memoryCases)) {
  Deno.test(`the transformer's share of memory is planned with what is kept between steps: ${what}`, async () => {
    const { planned, taken } = await planAndStep(cache);
    assert.ok(taken > 0.9 * planned && taken < 1.1 * planned, `${taken} of ${planned}`);
  });
}

/** Bytes that are planned for a step of FLUX beside its weights, and that two steps take on a device of their own. */
async function planAndStep(cache: StepCache): Promise<{ planned: number; taken: number }> {
  using device = await openDevice();
  using pipeline = await FluxPipeline.fromPretrained(fixture("flux/pipeline"), loading);
  const model = pipeline.parts.transformer;
  const size = { width: 1024, height: 1024, tokens: 5, steps: 0, cache };
  const planned = stagesOf({ ...pipeline.parts }, size).find((stage) => stage.model === model)!.activations;
  await model.load();
  const calls = [0, 1].map((step) => callAt(step, [128, 128], 1, model));
  for (const [x, { encoderHiddenStates }] of calls) await Promise.all([x.data(), encoderHiddenStates.data()]);
  using modulation = model.condition([1], calls[0]![1]);
  await modulation.at(0).data();
  const before = device.buffers.usage().bytes;
  using cached = cache.begin(model, 3);
  for (const [x, { encoderHiddenStates, imgIds, txtIds }] of calls) {
    using _step = scope();
    const args = [x, { encoderHiddenStates, imgIds, txtIds, modulation: modulation.at(0) }] as const;
    const { sample } = await cached.forward(...args);
    await sample.data();
  }
  return { planned, taken: device.buffers.usage().peak - before };
}

for (const engine of ["dawn", "deno"] as const) {
  Deno.test(`a cached run ends in one line where the device or memory is lost, and the next one draws (${engine})`, async () => {
    const draw = async (fault: Fault = {}) => {
      using device = await openDevice({ engine });
      using pipeline = await FluxPipeline.fromPretrained(fixture("flux/pipeline"), loading);
      using counted = inject(device, fault);
      const options = {
        prompt: "the sun",
        maxSequenceLength: 24,
        generator: manualSeed(2),
        onNotice: () => {},
      };
      const cache = firstBlockCache({ threshold: 0.9 });
      const { latents } = await pipeline.run({ ...small, ...options, numInferenceSteps: 3, cache });
      const { allocations, submissions } = counted;
      return { data: await latents.data(), allocations, submissions };
    };
    const want = await draw();
    for (let submission = want.submissions - 8; submission < want.submissions; submission += 2) { // those of steps
      await assert.rejects(draw({ submission }), DeviceLostError);
    }
    for (let allocation = want.allocations - 32; allocation < want.allocations; allocation += 8) {
      try {
        assert.deepEqual((await draw({ allocation })).data, want.data);
      } catch (error) {
        const isTold = error instanceof OutOfMemoryError ||
          engine === "deno" && error instanceof GPUCommandError; // which the read hears of first
        assert.ok(isTold, `allocation ${allocation}: ${error}`);
      }
    }
    assert.deepEqual((await draw()).data, want.data);
  });
}

Deno.test("caches are refused where they cannot be", async () => {
  assert.throws(() => firstBlockCache({ threshold: NaN }), /threshold NaN: expected a number/);
  assert.throws(() => easyCache({ warmupSteps: -1 }), {
    message: "Cannot cache steps with warmupSteps -1: expected a whole number from 0",
  });
  const options = { ...small, prompt: "a cat", maxSequenceLength: 24, cache: easyCache(), recover: true };
  await assertRefused(flux.run(options), /Cannot recover a run whose cache remembers the steps before/);
  using sd = await StableDiffusionPipeline.fromPretrained(emoji, { dtype: "f32" });
  await assertRefused(
    sd.run({ prompt: "a cat", cache: firstBlockCache(), progress: false }),
    /Cannot cache blocks of UNet2DConditionModel: expected a transformer; easyCache\(\) takes any model/,
  );
  using unet = await UNet2DConditionModel.fromPretrained(emoji, { subfolder: "unet", defer: true });
  assert.throws(
    () => teaCache().begin(unet, 5),
    /Cannot cache steps of UNet2DConditionModel by TeaCache: expected FluxTransformer2DModel/,
  );
});
