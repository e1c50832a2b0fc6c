import assert from "node:assert/strict";
import { manualSeed } from "../../../src/mod.ts";
import { FluxPipeline, StableDiffusionPipeline } from "../../../src/pipelines/mod.ts";
import { describePlan, planMemory } from "../../../src/pipelines/memory/plan.ts";
import { SMALL_BUFFERS } from "../../../src/pipelines/memory/weight_modes.ts";
import { stagesOf } from "../../../src/pipelines/memory/stages.ts";
import { device } from "../../support/device.ts";
import { emoji, flower } from "../../support/emoji.ts";
import { writeFluxDev } from "../../support/flux_dev.ts";
import { fluxDevShapes } from "../../support/flux_dev_shapes.ts";

Deno.test("the shapes of FLUX.1-dev are true: it has as many weights as its files", () => {
  const count = (part: string) =>
    Object.values(fluxDevShapes[part]!()).reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
  assert.equal(count("transformer"), 11_901_408_320);
  assert.equal(count("text_encoder_2"), 4_762_310_656);
  assert.equal(count("text_encoder"), 123_060_480);
  assert.equal(count("vae"), 83_819_683);
});

Deno.test("the plan for the real FLUX.1-dev says what runs in 80, 24, 16, 8 and 2 GB", async () => {
  await withFluxDev(async (folder) => {
    const before = device.buffers.usage().bytes;
    const notices: string[] = [];
    const onNotice = (line: string) => notices.push(line);
    using pipeline = await FluxPipeline.fromPretrained(folder, { dtype: "f16", memory: 80e9, onNotice });
    assert.deepEqual(notices, []);
    const stages = stagesOf({ ...pipeline.parts });
    assert.ok(device.buffers.usage().bytes - before < 64e6); // traced, but nothing is loaded

    const plans = [80, 24, 16, 8, 2].map((memory) => planMemory(stages, memory * 1e9));
    assert.deepEqual(plans.map(({ runs }) => runs), ["resident", "in turn", "in turn", "in turn", "not"]);
    const modes = plans.map(({ parts }) => parts.map(({ mode }) => mode));
    assert.deepEqual(modes[0], ["whole", "whole", "whole", "whole"]);
    assert.deepEqual(modes[1], ["whole", "whole", "in parts", "whole"]);
    assert.deepEqual(modes[2], ["whole", "whole", "int8", "whole"]);
    assert.deepEqual(modes[3], ["whole", "int8", "int4", "whole"]);
    const [clip, t5, transformer] = plans[0]!.parts;
    assert.equal(transformer!.weights.f16, 2 * 11_901_408_320);
    assert.equal(transformer!.weights.f32, 4 * 11_901_408_320);
    assert.equal(t5!.weights.f16, 2 * (4_762_310_656 - 32128 * 4096)); // the table of tokens stays on the host
    assert.equal(clip!.weights.f16, 2 * (123_060_480 - 49408 * 768));
    assert.ok(transformer!.weights.int4 < transformer!.weights.f16 / 3.5);
    const { model } = stages[2]!;
    const [condition, step] = ["condition", "step"].map((entry) => model.bytesAs({}, entry)) as [
      number,
      number,
    ];
    assert.equal(condition + step, transformer!.weights.f16);
    assert.equal(plans[1]!.parts[2]!.bytes, step + transformer!.activations + SMALL_BUFFERS);
    for (const { activations } of plans[0]!.parts) assert.ok(activations > 1e6 && activations < 10e9);

    const text = describePlan(plans[1]!, "FLUX.1-dev");
    assert.match(text, /^FLUX.1-dev in 24.00 GB:\nGB +f32 +f16 +int8 +int4 +activations +taken\n/);
    assert.match(text, /\ntransformer +47.61 +23.80 +12.\d\d +6.\d\d +\d.\d\d +18.\d\d in parts\n/);
    assert.match(text, /\nRuns with one model at a time, transformer in parts: at most 18.\d\d GB$/);
    assert.match(
      describePlan(plans[4]!, "FLUX.1-dev"),
      /\nDoes not fit: vae takes \d.\d\d GB at least; draw smaller pictures, or fewer at once$/,
    );
    const larger = stagesOf({ ...pipeline.parts }, { width: 1536, height: 1024 });
    assert.ok(larger[2]!.activations > 1.3 * stages[2]!.activations, `${larger[2]!.activations}`);
  });
});

Deno.test("a pipeline too large for its memory is told to be, and opened as the plan says", async () => {
  await withFluxDev(async (folder) => {
    const notices: string[] = [];
    const onNotice = (line: string) => notices.push(line);
    using pipeline = await FluxPipeline.fromPretrained(folder, { dtype: "f16", memory: 16e9, onNotice });
    assert.equal(notices.length, 1);
    assert.match(notices[0]!, /Runs with one model at a time, transformer in int8: at most 13.\d\d GB$/);
    const { transformer, textEncoder2 } = pipeline.parts;
    assert.equal(transformer.bytes, transformer.bytesAs({ quantize: "int8" }));
    assert.equal(textEncoder2.bytes, textEncoder2.bytesAs({ quantize: undefined }));

    using larger = await FluxPipeline.fromPretrained(folder, { dtype: "f16", memory: 24e9, onNotice });
    assert.match(notices[1]!, /Runs with one model at a time, transformer in parts: at most 18.\d\d GB$/);
    assert.equal(larger.parts.transformer.bytes, larger.parts.transformer.bytesAs({ quantize: undefined }));
  });
});

Deno.test("pictures are the same where the weights of all models come from the disk", async () => {
  const draw = async (how: object) => {
    using pipeline = await StableDiffusionPipeline.fromPretrained(emoji, {
      dtype: "f32",
      onNotice: () => {},
      ...how,
    });
    const { images } = await pipeline.run({ ...flower, generator: manualSeed(0) });
    return await images.data();
  };
  assert.deepEqual(await draw({ stream: { chunk: 1 << 20 }, memory: 1 << 20 }), await draw({}));
});

/** Runs `work` on a folder with FLUX.1-dev's configs and headers; the tensors are holes in the files. */
async function withFluxDev(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await writeFluxDev(folder);
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
