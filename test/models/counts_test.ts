import assert from "node:assert/strict";
import { join } from "node:path";
import { openDevice } from "../../src/gpu/open/open.ts";
import {
  AutoencoderKL,
  CLIPTextModel,
  FluxTransformer2DModel,
  type Model,
  T5EncoderModel,
  UNet2DConditionModel,
  UNet2DModel,
} from "../../src/models/mod.ts";
import { randn } from "../../src/random/mod.ts";
import type { Tensor } from "../../src/tensor/mod.ts";
import { expectCounts } from "../support/counted.ts";
import { fixture } from "../support/fixtures.ts";

const root = join(import.meta.dirname!, "../..");

/** Operations of products, convolutions and attention by torch's FlopCounterMode (test/fixtures/generator/flops.py). */
const torch = JSON.parse(await Deno.readTextFile(fixture("flops/expected.json"))) as {
  models: Record<string, { repo: string; subfolder: string; total: number; modules: Record<string, number> }>;
};

const ids = (count: number, vocabulary: number) => [Array.from({ length: count }, (_, i) => i % vocabulary)];

/** The calls that the generator makes. */
const calls: Record<string, (repo: string, subfolder: string) => Promise<[Model, () => Tensor]>> = {
  async UNet2DModel(repo, subfolder) {
    const model = await UNet2DModel.fromPretrained(repo, { subfolder, dtype: "f32" });
    const x = randn([1, model.config.in_channels, ...model.sampleSize]);
    return [model, () => model.forward(x, 3).sample];
  },
  async UNet2DConditionModel(repo, subfolder) {
    const model = await UNet2DConditionModel.fromPretrained(repo, { subfolder, dtype: "f32" });
    const text = randn([2, 77, model.config.cross_attention_dim]);
    const x = randn([2, model.config.in_channels, 16, 16]);
    return [model, () => model.forward(x, 3, text).sample];
  },
  async AutoencoderKL(repo, subfolder) {
    const model = await AutoencoderKL.fromPretrained(repo, { subfolder, dtype: "f32" });
    const x = randn([1, model.config.latent_channels, 8, 8]);
    return [model, () => model.decode(x).sample];
  },
  async CLIPTextModel(repo, subfolder) {
    const model = await CLIPTextModel.fromPretrained(repo, { subfolder, dtype: "f32" });
    return [model, () => model.forward(ids(32, model.config.vocab_size)).lastHiddenState];
  },
  async T5EncoderModel(repo, subfolder) {
    const model = await T5EncoderModel.fromPretrained(repo, { subfolder, dtype: "f32" });
    return [model, () => model.forward(ids(24, model.config.vocab_size)).lastHiddenState];
  },
  async FluxTransformer2DModel(repo, subfolder) {
    const model = await FluxTransformer2DModel.fromPretrained(repo, { subfolder, dtype: "f32" });
    const { in_channels, joint_attention_dim, pooled_projection_dim, guidance_embeds } = model.config;
    const imgIds = Array.from({ length: 24 }, (_, i) => [0, Math.floor(i / 6), i % 6]);
    const x = randn([1, 24, in_channels]);
    const options = {
      encoderHiddenStates: randn([1, 20, joint_attention_dim]),
      pooledProjections: randn([1, pooled_projection_dim]),
      timestep: 0.5,
      ...guidance_embeds && { guidance: 3.5 },
      imgIds,
      txtIds: Array.from({ length: 20 }, () => [0, 0, 0]),
    };
    return [model, () => model.forward(x, options).sample];
  },
};

for (const [name, { repo, subfolder, total, modules }] of Object.entries(torch.models)) {
  Deno.test(`operations and bytes of ${name} equal those counted from shapes, and torch's count`, async () => {
    using device = await openDevice();
    const [model, call] = await calls[name]!(join(root, repo), subfolder);
    using _model = model;
    await call().data();
    const products = expectCounts(device);
    const sumOf = (module: string) =>
      [...products].reduce((sum, [path, n]) => `${path}.`.startsWith(`${module}.`) ? sum + n : sum, 0);
    const found = Object.entries(modules).filter(([module]) => sumOf(module) > 0); // others are recorded in the one around
    assert.ok(found.length > 0.6 * Object.keys(modules).length);
    for (const [module, count] of found) assert.equal(sumOf(module), count, module);
    assert.equal([...products.values()].reduce((a, b) => a + b, 0), total);
  });
}
