import assert from "node:assert/strict";
import { join } from "node:path";
import { TestFolder } from "../support/files.ts";
import { behind, toBflFlux, toLdmUnet, toLdmVae } from "../support/authors_layout.ts";
import { fixture } from "../support/fixtures.ts";
import { ggufFile, quantizeQ8 } from "../support/gguf.ts";
import { readRaw, safetensorsOf } from "../support/raw_tensors.ts";
import { runScript } from "../support/script.ts";

const root = join(import.meta.dirname!, "../..");
const emoji = join(root, "models/emoji-diffusion");
const WEIGHTS = "diffusion_pytorch_model.safetensors";

/** What the script prints. */
async function inspect(...args: string[]): Promise<string> {
  const { stdout, stderr } = await runScript(root, "inspect.ts", ...args);
  return stdout + stderr;
}

/** A line of the output, its runs of spaces as one. */
function line(text: string, begin: string): string {
  return text.split("\n").find((line) => line.startsWith(begin))?.replace(/ +/g, " ") ?? text;
}

Deno.test("inspect.ts says what a pipeline's folder holds and what memory it takes", async () => {
  const text = await inspect(emoji, "--memory", "8");
  assert.equal(line(text, emoji), `${emoji}: a StableDiffusionPipeline`);
  assert.equal(line(text, "unet"), "unet UNet2DConditionModel F16 326 7.59 M 15.19 MB");
  assert.equal(line(text, "scheduler"), "scheduler PNDMScheduler");
  assert.match(text, /8\.00 GB/);
  assert.match(text, /Runs with all models in memory/);
});

Deno.test("inspect.ts says what a single file holds, what is not used, and what is taken elsewhere", async () => {
  using folder = new TestFolder();
  const unet = await readRaw(`${emoji}/unet/${WEIGHTS}`);
  const bytes = new Uint8Array(4);
  const path = folder.write(
    "sd.safetensors",
    safetensorsOf(
      new Map([
        ...toLdmUnet(unet, 1),
        ...toLdmVae(await readRaw(`${emoji}/vae/${WEIGHTS}`), 3),
        ...behind(await readRaw(`${emoji}/text_encoder/model.safetensors`), "cond_stage_model.transformer."),
        ["model_ema.decay", { dtype: "F32", shape: [], bytes }],
      ]),
    ),
  );
  const text = await inspect(path, "--config", emoji);
  assert.equal(line(text, path), `${path}: Stable Diffusion 1, for StableDiffusionPipeline`);
  assert.equal(
    line(text, "unet"),
    "unet UNet2DConditionModel F16 326 7.59 M 15.19 MB model.diffusion_model.",
  );
  assert.equal(line(text, "not used"), 'not used: "model_ema.decay"');
  assert.match(text, /Runs with all models in memory/);
});

Deno.test("inspect.ts says what a GGUF transformer is, with the models of its base", async () => {
  using folder = new TestFolder();
  const tensors = toBflFlux(await readRaw(fixture(`flux/pipeline/transformer/${WEIGHTS}.index.json`)));
  const path = folder.write(
    "flux.gguf",
    ggufFile({
      tensors: [...tensors].map(([name, { shape, bytes }]) => {
        const packs = shape.length === 2 && shape[1]! % 32 === 0;
        const data = packs ? quantizeQ8(new Float32Array(bytes.slice().buffer)) : bytes;
        return { name, shape, type: packs ? 8 : 0, data };
      }),
    }),
  );
  const text = await inspect(path, "--config", fixture("flux/pipeline"));
  assert.equal(line(text, path), `${path}: FLUX.1-dev, for FluxPipeline`);
  assert.match(
    line(text, "transformer"),
    /^transformer FluxTransformer2DModel F32, Q8_0 112 39\.71 k /,
  );
  assert.match(text, /has no text_encoder_2: taking it from .*flux\/pipeline/);
});

Deno.test("inspect.ts says what a LoRA is, and whether it fits a model", async () => {
  const path = fixture("flux/lora/kohya.safetensors");
  const text = await inspect(path, "--model", fixture("flux/pipeline"));
  assert.equal(line(text, path), `${path}: a LoRA in the format of kohya`);
  assert.equal(line(text, "rank"), "rank 3, alpha 2 (by tensor)");
  assert.match(line(text, "fits"), /^fits .*: \d+ layers, e\.g\. "transformer\./);
});

const made: [path: string, kinds: string, blocks: string, rank: string | undefined][] = [ // by kohya's names, LyCORIS, peft
  [
    "flux/lora/kohya.safetensors",
    "LoRA (26)",
    "double_blocks 0-1 (20), single_blocks 0-1 (6)",
    "rank 3, alpha 2 (by tensor)",
  ],
  [
    "adapters/dora_loha.safetensors",
    "DoRA (5)",
    "down_blocks 0-1 (2), mid_block (3)",
    "rank 2, alpha 1 (by tensor)",
  ],
  [
    "adapters/norms.safetensors",
    "difference (3)",
    "conv_norm_out (1), down_blocks 0 (1), mid_block (1)",
    undefined,
  ],
  [
    "loras/peft_saved",
    "whole weight (6), DoRA (12)",
    "conv_norm_out (1), conv_out (1), down_blocks 0 (3), mid_block (3), up_blocks 1 (6)",
    "rank 1, alpha 8 (by metadata)",
  ],
];

for (const [name, kinds, blocks, rank] of made) {
  Deno.test(`inspect.ts says of which kinds, ranks and blocks a LoRA is: ${name}`, async () => {
    const text = await inspect(fixture(name));
    assert.equal(line(text, "kinds:"), `kinds: ${kinds}`);
    assert.equal(line(text, "blocks:"), `blocks: ${blocks}`);
    if (rank) assert.equal(line(text, "rank"), rank);
  });
}

Deno.test("inspect.ts says what a model's folder is", async () => {
  const path = fixture("flux/pipeline/vae");
  assert.equal(line(await inspect(path), path), `${path}: AutoencoderKL`);
});

Deno.test("inspect.ts lists the single files of a folder", async () => {
  using folder = new TestFolder();
  for (const name of ["b-Q4_0.gguf", "b-Q8_0.gguf", "README.md"]) folder.write(name, "");
  const [title, ...files] = (await inspect(folder.path)).trimEnd().split("\n");
  assert.equal(title, `${folder.path}: single files; inspect or load one of`);
  assert.deepEqual(files.sort(), ["b-Q4_0.gguf", "b-Q8_0.gguf"].map((name) => `  ${folder.path}/${name}`));
});

Deno.test("inspect.ts refuses nothing, and what is not there, in one line", async () => {
  assert.match(
    await inspect(),
    /^Cannot run scripts\/inspect.ts <target>: expected target, got none; --help says more\n$/,
  );
  assert.match(
    await inspect("./nowhere.gguf"),
    /^Cannot load \.\/nowhere\.gguf: no such file; check the path\n$/,
  );
  assert.match(
    await inspect(emoji, "--memory", "lots"),
    /^Cannot take --memory lots: expected an amount of memory [^\n]*\n$/,
  );
});

Deno.test("inspect.ts says what a file under diffusers' names is, and of what nothing is known", async () => {
  const path = join(emoji, "unet", WEIGHTS);
  const text = await inspect(path);
  assert.equal(line(text, path), `${path}: UNet2DConditionModel`);
  assert.match(text, /\nunder diffusers' names: its config lies in /);
  const encoder = join(emoji, "text_encoder", "model.safetensors");
  const words = await inspect(encoder);
  assert.equal(line(words, encoder), `${encoder}: CLIPTextModel`);
  assert.match(words, /\none model of a pipeline: its class loads it, a pipeline wants its others too\n$/);
  using folder = new TestFolder();
  const one = { dtype: "F32", shape: [1], bytes: new Uint8Array(4) };
  const odd = folder.write("odd.safetensors", safetensorsOf(new Map([["a", one]])));
  assert.match(
    await inspect(odd),
    /: tensors such as "a"\n[^]*\nthese are the keys of no model that is known\n$/,
  );
  const keys = ["transformer_blocks.0.attn.add_q_proj.weight", "pos_embed.pos_embed"];
  const sd3 = folder.write("sd3.safetensors", safetensorsOf(new Map(keys.map((key) => [key, one]))));
  assert.match(
    await inspect(sd3),
    /: SD3Transformer2DModel\n[^]*\nnot built: nothing here loads SD3Transformer2DModel\n$/,
  );
});

Deno.test("inspect.ts lists the models in a folder, and says of classes that they are not built", async () => {
  using folder = new TestFolder();
  const write = (name: string, json: unknown) => folder.write(name, JSON.stringify(json));
  write("a/model_index.json", { _class_name: "WuerstchenPipeline", unet: ["diffusers", "UNet9DModel"] });
  write("a/unet/config.json", { _class_name: "UNet9DModel" });
  write("b/config.json", { _class_name: "UNet9DModel" });
  const one = { dtype: "F32", shape: [1], bytes: new Uint8Array(4) };
  for (const name of ["a/unet", "b"]) {
    folder.write(`${name}/${WEIGHTS}`, safetensorsOf(new Map([["a", one]])));
  }
  const text = await inspect(folder.path);
  assert.equal(line(text, folder.path), `${folder.path}: a folder of models; inspect or load one of`);
  assert.equal(line(text, `  ${folder.path}/a`).trim(), `${folder.path}/a WuerstchenPipeline (not built)`);
  assert.equal(line(text, `  ${folder.path}/b`).trim(), `${folder.path}/b a model`);
  const pipeline = await inspect(`${folder.path}/a`);
  assert.match(pipeline, /: a WuerstchenPipeline \(not built\)\n/);
  assert.match(line(pipeline, "unet"), /^unet UNet9DModel \(not built\) F32 1 /);
  assert.match(await inspect(`${folder.path}/b`), /\/b: UNet9DModel \(not built\)\n/);
});

Deno.test("inspect.ts plans for a local folder of variants, and says what a folder lacks", async () => {
  using folder = new TestFolder();
  const copy = (name: string, as: string) => folder.write(as, Deno.readFileSync(join(emoji, name)));
  for (
    const name of [
      "model_index.json",
      "scheduler/scheduler_config.json",
      "unet/config.json",
      "vae/config.json",
    ]
  ) {
    copy(name, name);
  }
  for (const part of ["unet", "vae"]) copy(`${part}/${WEIGHTS}`, `${part}/${WEIGHTS.replace(".", ".fp16.")}`);
  copy("text_encoder/config.json", "text_encoder/config.json");
  copy("text_encoder/model.safetensors", "text_encoder/model.fp16.safetensors");
  const text = await inspect(folder.path, "--memory", "8G");
  assert.match(
    text,
    /unet\/diffusion_pytorch_model\.fp16\.safetensors is taken, as there are no other weights/,
  );
  assert.match(text, /Runs with all models in memory/);
  Deno.removeSync(join(folder.path, "vae/config.json"));
  assert.match(
    await inspect(folder.path),
    /no memory plan: Cannot load a model from .*: expected vae\/config\.json, got models in text_encoder, unet; /,
  );
});

Deno.test("inspect.ts says of a LoRA what is merged into weights, and of a text that it is none", async () => {
  using folder = new TestFolder();
  const matrix = (rows: number, columns: number) => ({
    dtype: "F32",
    shape: [rows, columns],
    bytes: new Uint8Array(4 * rows * columns),
  });
  const lora = folder.write(
    "style/lora.safetensors",
    safetensorsOf(
      new Map([
        ["lora_unet_x.lora_down.weight", matrix(2, 3)],
        ["lora_unet_x.lora_up.weight", matrix(3, 2)],
        ["lora_unet_x.diff_b", matrix(1, 3)],
      ]),
      { ss_network_module: "networks.lora", ss_network_args: '{"conv_dim": "2"}\n' },
    ),
  );
  for (const target of [lora, join(folder.path, "style")]) {
    assert.match(
      await inspect(target),
      /trained by "networks\.lora", "\{[^\n]*\n1 layers, [^]*rank 2, alpha 2 \(by rank\)[^]*merged into weights: difference: 1, e\.g\. "lora_unet_x"/,
    );
  }
  const readme = folder.write("README.md", "# Styles\n");
  assert.match(
    await inspect(readme),
    /^Cannot open .*README\.md: .*got a text that begins "# Styles"; [^\n]*\n$/,
  );
  folder.write("texts/README.md", "");
  assert.match(
    await inspect(join(folder.path, "texts")),
    /^Cannot inspect .*texts: expected model_index\.json, config\.json or weights, got README\.md\n$/,
  );
});

Deno.test("inspect.ts ignores no option: what says nothing about its target is refused", async () => {
  const lora = fixture("flux/lora/kohya.safetensors");
  const cases: [args: string[], line: RegExp][] = [
    [
      [emoji, "--model", emoji],
      /^Cannot take --model for .*, which is a pipeline: expected --memory, --variant; /,
    ],
    [
      [`${emoji}/unet`, "--memory", "8G"],
      /^Cannot take --memory for .*, which is one model: expected --variant; /,
    ],
    [
      [lora, "--base", emoji],
      /^Cannot take --base for .*, which is a LoRA: expected --model; leave it out\n$/,
    ],
    [
      [join(emoji, "vae", WEIGHTS), "--memory", "8G"],
      /, which is one file: expected no option; leave it out\n$/,
    ],
    [
      [join(root, "models"), "--variant", "fp16"],
      /, a folder of models: expected no option; leave it out\n$/,
    ],
  ];
  for (const [args, line] of cases) assert.match(await inspect(...args), line);
});
