import assert from "node:assert/strict";
import { join } from "node:path";
import { parseConfig } from "../../../src/io/config.ts";
import { controlNetConfig, controlNetView } from "../../../src/io/names/controlnet.ts";
import { ldmLayerNames } from "../../../src/io/names/ldm_unet.ts";
import type { TensorInfo } from "../../../src/io/formats/stored_tensor.ts";
import { controlNetConfig as schema } from "../../../src/models/controlnet/config.ts";
import { ControlNetModel } from "../../../src/models/mod.ts";
import { readTensors } from "../../support/arrays.ts";
import { fixture } from "../../support/fixtures.ts";
import { safetensors, TestFolder } from "../../support/files.ts";
import { assertTensor, upload } from "../../support/tensors.ts";
import "../../support/device.ts";

/** Shapes by names that are split at their dots: those of a part stand below its name. */
interface Part {
  [name: string]: Part | number[];
}

const real = JSON.parse(await Deno.readTextFile(fixture("controlnet/shapes.json"))) as Record<
  string,
  { config: Record<string, unknown>; shapes: Part }
>;

/** The shapes of a part by their whole names. */
function shapesOf(part: Part, path = ""): Record<string, number[]> {
  const entries = Object.entries(part).map(([name, entry]) =>
    Array.isArray(entry) ? { [path + name]: entry } : shapesOf(entry, `${path}${name}.`)
  );
  return Object.assign({}, ...entries);
}

/** The picture's features of a ControlNet with four widths, under the names of cldm.py. */
const HINTS: readonly (readonly [diffusers: string, own: string])[] = [
  ["conv_in", "0"],
  ["blocks.0", "2"],
  ["blocks.1", "4"],
  ["blocks.2", "6"],
  ["blocks.3", "8"],
  ["blocks.4", "10"],
  ["blocks.5", "12"],
  ["conv_out", "14"],
].map(([name, number]) => [`controlnet_cond_embedding.${name}`, `input_hint_block.${number}`] as const);

/** Names as in cldm.py, for names of diffusers. */
function ownNames(keys: readonly string[], hints = HINTS): Map<string, string> {
  const layers = new Map(keys.map((key) => [key.replace(/\.(weight|bias)$/, ""), key]));
  const blocks = new Map([...layers].filter(([layer]) => !layer.startsWith("controlnet_")));
  const own = new Map(ldmLayerNames(blocks));
  for (const [diffusers, name] of hints) own.set(diffusers, name);
  for (const layer of layers.keys()) {
    const [, number] = /^controlnet_down_blocks\.(\d+)$/.exec(layer) ?? [];
    if (number) own.set(layer, `zero_convs.${number}.0`);
  }
  own.set("controlnet_mid_block", "middle_block_out.0");
  return new Map(keys.map((key) => {
    const [, layer, what] = /^(.*)\.(weight|bias)$/.exec(key)!;
    assert.ok(own.has(layer!), `${layer}`);
    return [key, `${own.get(layer!)}.${what}`];
  }));
}

const infosOf = (shapes: Iterable<readonly [string, number[]]>) =>
  new Map(
    Iterator.from(shapes).map((
      [name, shape],
    ) => [name, { name, shape, dtype: "f32" } as unknown as TensorInfo]),
  );

for (const [name, { config, shapes: parts }] of Object.entries(real)) {
  const shapes = shapesOf(parts);
  Deno.test(`a ControlNet's config follows from its shapes, under both kinds of names: ${name}`, () => {
    const want = parseConfig(schema, config, name);
    const names = ownNames(Object.keys(shapes));
    const own = Object.entries(shapes).map(([key, shape]) =>
      [`control_model.${names.get(key)}`, shape] as const
    );
    for (const [tensors, prefix] of [[Object.entries(shapes), ""], [own, "control_model."]] as const) {
      const infos = infosOf(tensors);
      const { _class_name, ...got } = parseConfig(schema, controlNetConfig(infos, prefix), name);
      const heads = [got.attention_head_dim].flat();
      assert.deepEqual({ ...got, attention_head_dim: want.attention_head_dim }, { ...want });
      assert.deepEqual(heads, [want.attention_head_dim].flat());
      assert.deepEqual([...controlNetView(infos, prefix).keys()].sort(), Object.keys(shapes).sort());
    }
  });
}

Deno.test("a ControlNet in one file makes what it makes from its folder", async () => {
  const folder = fixture("controlnet/controlnet");
  const tensors = await readTensors(join(folder, "diffusion_pytorch_model.safetensors"));
  const hints = HINTS.filter(([name]) => !/blocks\.[2-5]/.test(name)).map(([name, own], i) =>
    name.endsWith("conv_out") ? [name, `input_hint_block.${2 * i}`] as const : [name, own] as const
  );
  const names = ownNames([...tensors.keys()], hints);
  using files = new TestFolder();
  let offset = 0;
  const header: Record<string, unknown> = {};
  const bytes: number[] = [];
  for (const [key, { data, shape }] of tensors) {
    const values = new Uint8Array(Float32Array.from(data).buffer);
    header[names.get(key)!] = { dtype: "F32", shape, data_offsets: [offset, offset += values.length] };
    for (const byte of values) bytes.push(byte);
  }
  const path = join(files.path, "control.safetensors");
  await Deno.writeFile(path, safetensors(header, bytes));
  using whole = await ControlNetModel.fromPretrained(folder, { dtype: "f32" });
  using single = await ControlNetModel.fromSingleFile(path, { dtype: "f32", config: fixture("controlnet") });
  const stored = await readTensors(fixture("controlnet/models.safetensors"));
  const [sample, states, cond] = ["sample", "states", "cond"].map((name) => upload(stored.get(name)!));
  const run = (model: ControlNetModel) => model.forward(sample!, [801, 5], states!, cond!).midBlockResSample;
  await assertTensor(run(single), { shape: run(whole).shape, data: await run(whole).data() }, 0, "middle");
});
