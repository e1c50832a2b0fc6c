import assert from "node:assert/strict";
import { manualSeed, type Tensor } from "../../../src/mod.ts";
import {
  easyCache,
  firstBlockCache,
  Flux2KleinPipeline,
  FluxPipeline,
  ZImagePipeline,
} from "../../../src/pipelines/mod.ts";
import { camelCased, readJson } from "../../conformance/json.ts";
import { readTensors } from "../../support/arrays.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import { device } from "../../support/device.ts";
import { fixture } from "../../support/fixtures.ts";
import { assertRefused } from "../../support/refused.ts";
import { assertTensor, onHost } from "../../support/tensors.ts";

/** What meta.json says of a run. */
interface Run {
  family: "flux" | "flux2_base" | "zimage";
  seed: number;
  args: Record<string, unknown>;
  /** Of the guider. */
  options: Record<string, unknown>;
}

const bound = 1e-3; // a whole loop in f32
const loading = { dtype: "f32", onNotice: () => {} } as const;

const runs = await readJson<Record<string, Run>>(fixture("skip_layer_runs/meta.json"));
const expected = await readTensors(fixture("skip_layer_runs/expected.safetensors"));

let flux: FluxPipeline;
let flux2_base: Flux2KleinPipeline;
let zimage: ZImagePipeline;
Deno.test.beforeAll(async () => {
  flux = await FluxPipeline.fromPretrained(fixture("flux/pipeline"), loading);
  const klein = await Flux2KleinPipeline.fromPretrained(fixture("flux2/pipeline"), loading);
  flux2_base = new Flux2KleinPipeline({ ...klein.parts, isDistilled: false });
  zimage = await ZImagePipeline.fromPretrained(fixture("zimage/pipeline"), loading);
});
Deno.test.afterAll(() => [flux, flux2_base, zimage, device].forEach((one) => one[Symbol.dispose]()));

async function draw({ family, seed, args, options }: Run, others: object = {}): Promise<Tensor> {
  const pipeline = { flux, flux2_base, zimage }[family];
  const { latents } = await pipeline.run({
    ...camelCased({ ...args, ...options }) as { prompt: string },
    generator: manualSeed(seed),
    outputType: "latent",
    progress: false,
    onNotice: () => {},
    ...others,
  });
  return latents;
}

for (const [name, run] of Object.entries(runs)) {
  Deno.test(`skip layer guidance draws the latents of diffusers' guider: ${name}`, async () => {
    const want = expected.get(`${name}/latents`)!;
    const latents = await draw(run);
    assert.deepEqual(latents.shape, want.shape);
    assertRelativelyClose(await latents.data(), want.data, bound, "latents");
    const without = await draw(run, { skipLayerGuidanceScale: 0 });
    await assert.rejects(assertTensor(without, await onHost(latents), 10 * bound, "without"));
  });
}

Deno.test("step caches go with skip layer guidance", async () => {
  const run = runs["flux_guided"]!;
  const want = await onHost(await draw(run));
  for (const cache of [firstBlockCache({ threshold: -1 }), easyCache({ threshold: -1, warmupSteps: 0 })]) {
    await assertTensor(await draw(run, { cache }), want, 1e-5, "nothing left out");
  }
});

Deno.test("blocks that cannot be skipped are refused", async () => {
  const run = runs["flux"]!;
  const drawn = (layers: unknown, others: object = {}) =>
    draw(run, { skipLayerGuidanceLayers: layers, ...others });
  await assertRefused(
    drawn(["transformer_blocks.9"]),
    /^Cannot skip "transformer_blocks.9" of FluxTransformer2DModel: no such block; expected a path such as/,
  );
  await assertRefused(
    drawn(["proj_out"]),
    /^Cannot skip parts of FluxTransformer2DModel: expected paths of blocks/,
  );
  await assertRefused(drawn([1]), /^Cannot guide by skipped layers: expected a list of paths such as/);
  await assertRefused(
    drawn(["transformer_blocks.1"], { skipLayerGuidanceStart: 0.5, skipLayerGuidanceStop: 0.4 }),
    /^Cannot guide by skipped layers in the interval \[0.5, 0.4\]: expected two parts of the steps/,
  );
});
