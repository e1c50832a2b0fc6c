import assert from "node:assert/strict";
import { zeros } from "../../src/mod.ts";
import {
  type AnyPipeline,
  type AnyRunOptions,
  DDPMPipeline,
  DiffusionPipeline,
  FluxPipeline,
  StableDiffusionImg2ImgPipeline,
  StableDiffusionInpaintPipeline,
  StableDiffusionPipeline,
} from "../../src/pipelines/mod.ts";
import "../support/device.ts";
import { refusalOf, TestFolder } from "../support/files.ts";
import { fixture } from "../support/fixtures.ts";

const models = `${import.meta.dirname}/../../models`;
const quiet = { onNotice: () => {} };

Deno.test("DiffusionPipeline loads the class that model_index.json names", async () => {
  const folders = [
    [`${models}/emoji-ddpm`, DDPMPipeline],
    [`${models}/emoji-diffusion`, StableDiffusionPipeline],
    [fixture("flux/pipeline"), FluxPipeline],
  ] as const;
  for (const [folder, Class] of folders) {
    using pipeline = await DiffusionPipeline.fromPretrained(folder, quiet);
    assert.ok(pipeline instanceof Class);
  }
});

Deno.test("what a loaded pipeline is not told, or cannot do, is told in one line", async () => {
  using sd = await DiffusionPipeline.fromPretrained(`${models}/emoji-diffusion`, quiet);
  assert.ok(sd instanceof StableDiffusionPipeline);
  const pipelines: [AnyPipeline, AnyRunOptions][] = [
    [sd, {}],
    [new StableDiffusionImg2ImgPipeline(sd.parts), { prompt: "" }],
    [new StableDiffusionInpaintPipeline(sd.parts), { prompt: "", image: zeros([1, 3, 32, 32]) }],
  ];
  const lines: string[] = [];
  for (const [pipeline, options] of pipelines) lines.push(await refusalOf(pipeline.run(options)));
  assert.deepEqual(lines, [
    "Cannot draw: expected a prompt or promptEmbeds, got neither",
    "Cannot change a picture: expected image, got none",
    "Cannot inpaint: expected mask, got none",
  ]);
  using ddpm = await DiffusionPipeline.fromPretrained(`${models}/emoji-ddpm`, quiet);
  const line = await refusalOf(ddpm.loadLoraWeights(fixture("flux/lora/kohya.safetensors"), quiet));
  assert.match(line, /^Cannot use .*kohya\.safetensors: expected names of layers of unet, got \d+ others, /);
});

Deno.test("DiffusionPipeline refuses nets that a repository's class has no use for", async () => {
  using folder = new TestFolder();
  for (
    const [className, option] of [
      ["StableDiffusionImg2ImgPipeline", "adapter"],
      ["FluxFillPipeline", "controlnet"],
      ["Flux2Pipeline", "controlnet"],
    ] as const
  ) {
    folder.write("model_index.json", JSON.stringify({ _class_name: className }));
    const line = await refusalOf(
      DiffusionPipeline.fromPretrained(folder.path, { ...quiet, [option]: "a/b" }),
    );
    assert.match(
      line,
      new RegExp(`^Cannot load ${className} with ${option}: expected a pipeline that is controlled`),
    );
  }
});

Deno.test("DiffusionPipeline refuses classes that are not built by name, also those of every object", async () => {
  using folder = new TestFolder();
  for (const className of ["StableDiffusion3Pipeline", "constructor"]) {
    folder.write("model_index.json", JSON.stringify({ _class_name: className }));
    const line = await refusalOf(DiffusionPipeline.fromPretrained(folder.path, quiet));
    assert.match(line, /^Cannot load .*: expected one of DDPMPipeline, .*FluxPipeline, .*, got (\w+)$/);
    assert.ok(line.endsWith(`, got ${className}`), line);
    for (const option of ["controlnet", "adapter"]) {
      const helped = { ...quiet, [option]: "owner/net" };
      assert.equal(await refusalOf(DiffusionPipeline.fromPretrained(folder.path, helped)), line, option);
    }
  }
});
