import assert from "node:assert/strict";
import { ZImagePipeline } from "../../../src/pipelines/mod.ts";
import { describePlan, planMemory } from "../../../src/pipelines/memory/plan.ts";
import { stagesOf } from "../../../src/pipelines/memory/stages.ts";
import { device } from "../../support/device.ts";
import { TestFolder } from "../../support/files.ts";
import { writeZImageTurbo, zImageTurboShapes } from "../../support/z_image_turbo.ts";

const count = (part: string) =>
  Object.values(zImageTurboShapes[part]!()).reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);

Deno.test("the shapes of Z-Image-Turbo are true: it has as many weights as its files", () => {
  assert.equal(count("transformer"), 6_154_908_736);
  assert.equal(count("text_encoder"), 4_022_468_096);
});

Deno.test("the plan for the real Z-Image-Turbo says what runs in 80, 24, 16, 12, 8, 6 and 2 GB", async () => {
  using folder = new TestFolder();
  await writeZImageTurbo(folder.path);
  const before = device.buffers.usage().bytes;
  const notices: string[] = [];
  const onNotice = (line: string) => notices.push(line);
  using pipeline = await ZImagePipeline.fromPretrained(folder.path, { dtype: "f16", memory: 80e9, onNotice });
  assert.deepEqual(notices, []);
  const stages = stagesOf({ ...pipeline.parts });
  assert.ok(device.buffers.usage().bytes - before < 64e6); // traced, but nothing is loaded

  const plans = [80, 24, 16, 12, 8, 6, 2].map((memory) => planMemory(stages, memory * 1e9));
  assert.deepEqual(plans.map(({ parts }) => parts.map(({ mode }) => mode)), [
    ["whole", "whole", "whole"],
    ["whole", "whole", "whole"],
    ["whole", "whole", "whole"],
    ["whole", "int8", "whole"],
    ["whole", "int8", "whole"],
    ["int8", "int4", "whole"],
    ["streamed", "streamed", undefined],
  ]);
  const [text, transformer] = plans[0]!.parts;
  const layer = (count("text_encoder") - 151936 * 2560 - 2560) / 36; // the table of tokens stays on the host
  assert.equal(text!.weights.f16, 2 * 35 * layer); // neither the last layer nor the last norm is read
  assert.equal(transformer!.weights.f16, 2 * 6_154_908_736);
  assert.ok(transformer!.weights.int4 < transformer!.weights.f16 / 3.5);
  for (const { activations } of plans[0]!.parts) assert.ok(activations > 1e6 && activations < 10e9);
  assert.match(
    describePlan(plans[3]!, "Z-Image-Turbo"),
    /\nRuns with one model at a time, transformer in int8: at most \d.\d\d GB$/,
  );

  const larger = stagesOf({ ...pipeline.parts }, { width: 1536, height: 1024 });
  assert.ok(larger[1]!.activations > 1.3 * stages[1]!.activations, `${larger[1]!.activations}`);
});

Deno.test("Z-Image-Turbo opened for 8 GB is stored as the plan says", async () => {
  using folder = new TestFolder();
  await writeZImageTurbo(folder.path);
  const notices: string[] = [];
  const onNotice = (line: string) => notices.push(line);
  using pipeline = await ZImagePipeline.fromPretrained(folder.path, { dtype: "f16", memory: 8e9, onNotice });
  assert.equal(notices.length, 1);
  assert.match(notices[0]!, /Runs with one model at a time, transformer in int8: at most \d.\d\d GB$/);
  const { transformer, textEncoder } = pipeline.parts;
  assert.equal(transformer.quantize, "int8");
  assert.equal(textEncoder.quantize, undefined);
});
