import assert from "node:assert/strict";
import { manualSeed, type Tensor, zeros } from "../../../src/mod.ts";
import type { AutoencoderKL } from "../../../src/models/mod.ts";
import {
  apg,
  cfgNormalization,
  cfgZeroStar,
  dynamicThresholding,
  type Guidance,
  StableDiffusionPipeline,
} from "../../../src/pipelines/mod.ts";
import { denoise, type LatentLoop, type LatentLoopOptions } from "../../../src/pipelines/latents/loop.ts";
import type { Scheduler } from "../../../src/schedulers/mod.ts";
import { cat, tensor } from "../../../src/tensor/mod.ts";
import { readTensors } from "../../support/arrays.ts";
import { fixture } from "../../support/fixtures.ts";
import { assertTensor, onHost, upload } from "../../support/tensors.ts";
import { device } from "../../support/device.ts";

const bound = 2e-6; // of the largest value, f32

const { scale, steps, cases } = JSON.parse(await Deno.readTextFile(fixture("guiders.json"))) as {
  scale: number;
  steps: number;
  cases: { name: string; kind: string; options: Record<string, unknown> }[];
};
const stored = await readTensors(fixture("guiders.safetensors"));

const kinds: Record<string, (options: object) => Guidance | undefined> = {
  cfg: () => undefined,
  apg,
  cfgZeroStar,
  dynamicThresholding,
};

/** What the steps of a loop go on with, whose model predicts what is stored. */
async function guided(options: LatentLoopOptions): Promise<{ results: Tensor[]; alone: number[] }> {
  const [cond, uncond] = ["cond", "uncond"].map((name) => upload(stored.get(name)!));
  const at = (x: Tensor, step: number) => x.slice(0, step, step + 1).squeeze(0);
  const alone: number[] = [];
  const results: Tensor[] = [];
  const loop: LatentLoop = {
    scheduler: {
      scaleModelInput: (x: Tensor) => x,
      step: (prediction: Tensor) => ({ prevSample: prediction, predOriginalSample: prediction }),
    } as unknown as Scheduler,
    vae: undefined as unknown as AutoencoderKL,
    guided: true,
    model: { predict: (_, t) => cat([at(uncond!, t), at(cond!, t)]) },
    condModel: {
      predict(_, t) {
        alone.push(t);
        return at(cond!, t).clone(); // the loop frees it
      },
    },
  };
  await denoise(zeros([2, 4, 6, 5]), Array.from({ length: steps }, (_, i) => i), loop, {
    ...options,
    guidanceScale: scale,
    progress: false,
    onStep: (_step, _t, sample) => void results.push(sample.clone()),
  });
  return { results, alone };
}

for (const { name, kind, options } of cases) {
  Deno.test(`guidance is diffusers': ${name}`, async () => {
    const { guidanceRescale, guidanceInterval, ...own } = options;
    const { results, alone } = await guided({
      guidance: kinds[kind]!(own),
      ...{ guidanceRescale, guidanceInterval } as LatentLoopOptions,
    });
    const want = stored.get(name)!;
    const size = want.data.length / steps;
    for (const [i, result] of results.entries()) {
      const data = want.data.slice(i * size, (i + 1) * size);
      await assertTensor(result, { shape: want.shape.slice(1), data }, bound, `step ${i}`);
    }
    assert.deepEqual(alone, name === "interval" ? [0, 3] : []); // steps by the model on the prompt alone
  });
}

Deno.test("a run may begin anew with the same guidance", async () => {
  const guidance = apg({ momentum: -0.5 });
  const [first, second] = [await guided({ guidance }), await guided({ guidance })];
  await assertTensor(second.results.at(-1)!, await onHost(first.results.at(-1)!), 0, "last step");
});

Deno.test("Stable Diffusion outside the interval draws as with a scale of 1, and inside as without one", async () => {
  using sd = await StableDiffusionPipeline.fromPretrained(
    `${import.meta.dirname}/../../../models/emoji-diffusion`,
    { dtype: "f32" },
  );
  const draw = async (options: object) => {
    const { latents } = await sd.run({
      prompt: ["the sun", "a cat"],
      height: 32,
      width: 32,
      numInferenceSteps: 3,
      outputType: "latent",
      progress: false,
      generator: manualSeed(0),
      ...options,
    });
    return latents;
  };
  const unguided = await onHost(await draw({ guidanceScale: 1 }));
  await assertTensor(await draw({ guidanceInterval: [0, 0] }), unguided, 1e-5, "never");
  const always = await onHost(await draw({}));
  await assertTensor(await draw({ guidanceInterval: [0, 1] }), always, 0, "always");
  await assert.rejects(assertTensor(await draw({ guidanceInterval: [0.3, 1] }), always, 1e-3, "later"));
  await assert.rejects(assertTensor(await draw({ guidance: apg({ eta: 0 }) }), always, 1e-3, "apg"));
});

Deno.test("guidance is refused where it cannot be", async () => {
  assert.throws(() => apg({ momentum: NaN }), /momentum NaN: expected a number/);
  assert.throws(
    () => dynamicThresholding({ thresholdPercentile: 2 }),
    /thresholdPercentile 2: expected a part/,
  );
  assert.throws(() => cfgZeroStar({ zeroInitSteps: -1 }), /zeroInitSteps -1: expected a whole number/);
  await assert.rejects(
    guided({ guidanceInterval: [0.5, 0.2] }),
    /Cannot guide in the interval \[0.5, 0.2\]: expected two parts of the steps from 0 to 1, in order/,
  );
  await assert.rejects(
    guided({ guidance: apg({ momentum: 0.5 }), recover: true }),
    /Cannot recover a run whose guidance remembers the steps before/,
  );
  const packed = zeros([1, 8, 4]);
  assert.throws(
    () => dynamicThresholding().begin().combine(packed, packed, 2, 0),
    /expected predictions \[B, C, h, w\], got \[1, 8, 4\]/,
  );
  assert.ok(device);
});

Deno.test("cfgNormalization() cuts each row to so many lengths of the prompt's prediction, whatever guides inside", async () => {
  const rows = (...values: number[][]) => tensor(values.flat(), [values.length, 2, 1, 1]);
  const [cond, uncond] = [rows([3, 4], [0, 1]), rows([0, 0], [0, 0.9])];
  const result = async (most: number | undefined, inner?: Guidance) => {
    using guide = cfgNormalization(most, inner).begin();
    return [...await guide.combine(cond, uncond, 3, 0).data()].map((x) => Math.round(1e5 * Number(x)) / 1e5);
  };
  assert.deepEqual(await result(undefined), [3, 4, 0, 1]); // [9, 12] and [0, 1.2] are too long
  assert.deepEqual(await result(2), [6, 8, 0, 1.2]);
  assert.deepEqual(await result(9), [9, 12, 0, 1.2]);
  const zero: Guidance = {
    remembers: true,
    begin: () => ({ combine: (cond) => cond.mul(0), [Symbol.dispose]: () => {} }),
  };
  assert.deepEqual(await result(1, zero), [0, 0, 0, 0]);
  assert.equal(cfgNormalization(1, zero).remembers, true);
  assert.throws(() => cfgNormalization(0), {
    message: "Cannot guide by a norm of at most 0 times: expected a number above 0",
  });
});
