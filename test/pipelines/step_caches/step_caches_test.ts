import assert from "node:assert/strict";
import { manualSeed, type Tensor } from "../../../src/mod.ts";
import {
  easyCache,
  firstBlockCache,
  Flux2KleinPipeline,
  FluxPipeline,
  StableDiffusionPipeline,
  type StepCache,
  teaCache,
  ZImagePipeline,
} from "../../../src/pipelines/mod.ts";
import { camelCased, readJson } from "../../conformance/json.ts";
import { readTensors } from "../../support/arrays.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import "../../support/device.ts";
import { fixture } from "../../support/fixtures.ts";

/** What meta.json says of a run. */
interface Run {
  family: "flux" | "flux2" | "flux2_base" | "zimage" | "emoji";
  cache: keyof typeof caches;
  options: object;
  seed: number;
  args: Record<string, unknown>;
  /** For each call of the model in turn, whether it ran. */
  ran: boolean[];
}

const bound = 1e-3; // a whole loop in f32
const loading = { dtype: "f32", onNotice: () => {} } as const;
const caches = { firstBlockCache, teaCache, easyCache };

const runs = await readJson<Record<string, Run>>(fixture("step_caches/meta.json"));
const expected = await readTensors(fixture("step_caches/expected.safetensors"));

let pipelines: ReturnType<typeof together>;
Deno.test.beforeAll(async () => {
  const emoji = `${import.meta.dirname}/../../../models/emoji-diffusion`;
  pipelines = together(
    await FluxPipeline.fromPretrained(fixture("flux/pipeline"), loading),
    await Flux2KleinPipeline.fromPretrained(fixture("flux2/pipeline"), loading),
    await ZImagePipeline.fromPretrained(fixture("zimage/pipeline"), loading),
    await StableDiffusionPipeline.fromPretrained(emoji, loading),
  );
});
Deno.test.afterAll(() => Object.values(pipelines).forEach((one) => one[Symbol.dispose]()));

function together(
  flux: FluxPipeline,
  flux2: Flux2KleinPipeline,
  zimage: ZImagePipeline,
  emoji: StableDiffusionPipeline,
) {
  return {
    flux,
    flux2,
    flux2_base: new Flux2KleinPipeline({ ...flux2.parts, isDistilled: false }),
    zimage,
    emoji,
  };
}

/** A cache that tells what its models did. */
function told(cache: StepCache): { cache: StepCache; ran: boolean[] } {
  const ran: boolean[] = [];
  return {
    ran,
    cache: {
      begin(model, steps) {
        const cached = cache.begin(model, steps);
        const predict = cached.predict;
        cached.predict = (...args) => {
          const before = cached.computed;
          const sample = predict.apply(cached, args);
          ran.push(cached.computed > before);
          return sample;
        };
        return cached;
      },
    },
  };
}

async function draw({ family, args, seed }: Run, cache?: StepCache): Promise<Tensor> {
  const { latents } = await pipelines[family].run({
    ...camelCased(args) as { prompt: string },
    cache,
    generator: manualSeed(seed),
    outputType: "latent",
    progress: false,
    onNotice: () => {},
  });
  return latents;
}

for (const [name, run] of Object.entries(runs)) {
  Deno.test(`${run.cache}() leaves out the steps that its reference leaves out, and draws its latents: ${name}`, async () => {
    const { cache, ran } = told(caches[run.cache](run.options));
    const latents = await draw(run, cache);
    const want = expected.get(`${name}/latents`)!;
    assert.deepEqual(latents.shape, want.shape);
    assert.deepEqual(inDiffusersOrder(run, ran), run.ran);
    assertRelativelyClose(await latents.data(), want.data, bound, "latents");
  });
}

/** diffusers calls the model on the prompt first. */
function inDiffusersOrder({ family, args }: Run, ran: boolean[]): boolean[] {
  const isTwice = args["true_cfg_scale"] !== undefined || family === "flux2_base";
  return isTwice ? ran.map((_, i) => ran[i ^ 1]!) : ran;
}
