import assert from "node:assert/strict";
import { DiffusionPipeline, Flux2KleinPipeline } from "../../../src/pipelines/mod.ts";
import { planMemory } from "../../../src/pipelines/memory/plan.ts";
import { stagesOf } from "../../../src/pipelines/memory/stages.ts";
import { device } from "../../support/device.ts";
import { TestFolder } from "../../support/files.ts";
import { FLUX2, flux2Shapes, writeFlux2 } from "../../support/flux2_shapes.ts";

const weightsOf = (name: keyof typeof FLUX2) =>
  Object.values(flux2Shapes(FLUX2[name])).reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);

Deno.test("the shapes of FLUX.2's transformers are true: they have as many weights as their files", () => {
  assert.equal(weightsOf("FLUX.2-klein-4B"), 3_875_544_576);
  assert.equal(weightsOf("FLUX.2-klein-9B"), 9_078_581_248);
  assert.equal(weightsOf("FLUX.2-dev"), 32_223_281_152);
});

/** The modes of text encoder, if there is one, transformer and VAE in 80, 24, 16, 12 and 8 GB, and how they run. */
const PLANS: Readonly<Record<keyof typeof FLUX2, readonly (readonly [runs: string, ...modes: string[]])[]>> =
  {
    "FLUX.2-klein-4B": [
      ["resident", "whole", "whole", "whole"],
      ["resident", "whole", "whole", "whole"],
      ["resident", "whole", "whole", "whole"],
      ["in turn", "whole", "whole", "whole"],
      ["in turn", "whole", "int8", "whole"],
    ],
    "FLUX.2-klein-9B": [
      ["resident", "whole", "whole", "whole"],
      ["in turn", "whole", "whole", "whole"],
      ["in turn", "whole", "int8", "whole"],
      ["in turn", "whole", "int8", "whole"],
      ["in turn", "int8", "int4", "whole"],
    ],
    "FLUX.2-dev": [
      ["resident", "whole", "whole"],
      ["resident", "int4", "whole"],
      ["resident", "streamed", "whole"],
      ["resident", "streamed", "whole"],
      ["resident", "streamed", "whole"],
    ],
  };

for (const [name, sizes] of Object.entries(FLUX2)) {
  Deno.test(`the plan for the real ${name} says what runs in 80, 24, 16, 12 and 8 GB`, async () => {
    using folder = new TestFolder();
    await writeFlux2(folder.path, sizes);
    const before = device.buffers.usage().bytes;
    const notices: string[] = [];
    const onNotice = (line: string) => notices.push(line);
    using pipeline = await DiffusionPipeline.fromPretrained(folder.path, {
      dtype: "f16",
      memory: 80e9,
      onNotice,
    });
    assert.deepEqual(notices, []); // every key of configs and files is known and read
    const stages = stagesOf({ ...pipeline.parts });
    assert.ok(device.buffers.usage().bytes - before < 64e6); // traced, but nothing is loaded

    const plans = [80, 24, 16, 12, 8].map((memory) => planMemory(stages, memory * 1e9));
    const told = plans.map(({ runs, parts }) => [runs, ...parts.map(({ mode }) => mode ?? "none")]);
    assert.deepEqual(told, PLANS[name as keyof typeof FLUX2]);
    const transformer = plans[0]!.parts.find(({ name }) => name === "transformer")!;
    assert.equal(transformer.weights.f16, 2 * weightsOf(name as keyof typeof FLUX2));
    assert.ok(transformer.weights.int4 < transformer.weights.f16 / 3);
    for (const { activations } of plans[0]!.parts) assert.ok(activations > 1e6 && activations < 10e9);
    if (pipeline instanceof Flux2KleinPipeline) {
      const { textEncoder } = pipeline.parts;
      const { hidden_size: D, vocab_size, num_hidden_layers } = textEncoder.config;
      const all = { 2560: 4_022_468_096, 4096: 8_190_735_360 - vocab_size * D }[D]!; // as transformers counts them
      const layers = all - vocab_size * D - D;
      assert.equal(textEncoder.bytes, 2 * layers * 27 / num_hidden_layers); // the others are not loaded
    }
  });
}
