import assert from "node:assert/strict";
import { ZImageControlNetPipeline } from "../../../src/pipelines/mod.ts";
import { planMemory } from "../../../src/pipelines/memory/plan.ts";
import type { Stage } from "../../../src/pipelines/memory/stage.ts";
import { stagesOf } from "../../../src/pipelines/memory/stages.ts";
import { device } from "../../support/device.ts";
import { TestFolder } from "../../support/files.ts";
import {
  writeZImageControlNet,
  writeZImageTurbo,
  zImageControlNetConfig,
  zImageControlNetShapes,
} from "../../support/z_image_turbo.ts";

const count = Object.values(zImageControlNetShapes(zImageControlNetConfig)).reduce(
  (sum, shape) => sum + shape.reduce((a, b) => a * b, 1),
  0,
);

Deno.test("the plan for Z-Image-Turbo with the real ControlNet of version 2.1 counts both at once", async () => {
  assert.equal(count, 3_356_225_792);
  using folder = new TestFolder();
  await writeZImageTurbo(folder.path);
  const controlnet = `${folder.path}/controlnet`;
  folder.write("controlnet/config.json", JSON.stringify(zImageControlNetConfig));
  await writeZImageControlNet(`${controlnet}/diffusion_pytorch_model.safetensors`);
  const options = { dtype: "f16", memory: 80e9, controlnet, onNotice: () => {} } as const;
  const before = device.buffers.usage().bytes;
  using pipeline = await ZImageControlNetPipeline.fromPretrained(folder.path, options);
  assert.ok(device.buffers.usage().bytes - before < 1e6); // traced, but nothing is loaded
  const plan = planMemory(stagesOf({ ...pipeline.parts }), 80e9);
  const modes = plan.parts.map(({ name, mode }) => `${name} ${mode}`);
  assert.deepEqual(modes, ["text_encoder whole", "transformer whole", "controlnet whole", "vae whole"]);
  const [, transformer, net] = plan.parts;
  assert.equal(plan.largest, transformer!.bytes + net!.bytes);
  assert.equal(net!.weights.f16, 2 * count);

  const turbo = stagesOf({ ...pipeline.parts }, { isGuided: false, encodes: true });
  const planned = [12, 16, 24].map((memory) => {
    const { parts, runs } = planMemory(turbo, memory * 1e9);
    return `${runs}: ${parts.slice(1, 3).map(({ mode }) => mode).join(", ")}`;
  });
  assert.deepEqual(planned, ["in turn: int4, int8", "in turn: int8, int8", "in turn: whole, whole"]);
  const [, { activations, beside }] = turbo as [Stage, Stage];
  const block = 4 * 3840 * (4096 + 512); // bytes of what a block adds: one copy with the ControlNet, one with the transformer
  const blocks = zImageControlNetConfig.control_layers_places.length;
  assert.ok(beside![0]!.activations < (blocks + 18) * block, `${beside![0]!.activations}`);
  assert.ok(activations < (blocks + 18) * block, `${activations}`);
});

Deno.test("the real ControlNet in one file whose refiner holds zeros is of version 2.0, as Z-Image-Turbo takes it", async () => {
  using folder = new TestFolder();
  await writeZImageTurbo(folder.path);
  const controlnet = `${folder.path}/Z-Image-Turbo-Fun-Controlnet-Union-2.0.safetensors`;
  await writeZImageControlNet(controlnet);
  const notices: string[] = [];
  const onNotice = (line: string) => notices.push(line);
  const options = { dtype: "f16", memory: 80e9, controlnet, onNotice } as const;
  using pipeline = await ZImageControlNetPipeline.fromPretrained(folder.path, options);
  const { _class_name, ...config } = pipeline.parts.controlnet.config;
  const { _class_name: _, ...expected } = zImageControlNetConfig;
  assert.deepEqual(config, {
    ...expected,
    add_control_noise_refiner: "control_layers",
    all_patch_size: [2],
    all_f_patch_size: [1],
    norm_eps: 1e-5,
    qk_norm: true,
  });
  assert.deepEqual(notices, []);
});
