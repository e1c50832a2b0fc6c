import assert from "node:assert/strict";
import { join } from "node:path";
import { openDevice } from "denoise";
import { DiffusionPipeline } from "denoise/pipelines";
import { readPng, writePng } from "../../src/io/images/png.ts";
import { defaultsOf } from "../../scripts/command_line/arguments.ts";
import { options } from "../../scripts/generate/options.ts";
import { contentsOf } from "../../scripts/generate/contents.ts";
import { inFolder, runScript } from "../support/script.ts";

const root = join(import.meta.dirname!, "../..");
const emoji = join(root, "models/emoji-diffusion");
const flux = join(root, "test/fixtures/flux/pipeline");
const lora = join(root, "test/fixtures/flux/lora/kohya.safetensors");
const picture = join(root, "test/fixtures/pictures/files/turned_6.jpg");
const small = ["--size", "32x32", "--steps", "2"];

/** By what changes their pixels: how pictures are drawn. */
const drawn: Record<string, string[]> = {
  "a scheduler by its short name, a negative prompt and guidance": [
    ...["a red apple", "--scheduler", "DPM++ 2M Karras", "--negative", "blue", "--guidance", "3", ...small],
  ],
  "weights in a prompt of several chunks": [
    ...[
      "a (red:1.4) apple, [leaf], BREAK a cat",
      "--prompt-syntax",
      "a1111",
      "--negative",
      "(blue)",
      ...small,
    ],
  ],
  "int8": ["--quantize", "int8", ...small],
  "f16": ["--dtype", "f16", ...small],
  "little memory": ["--memory", "100M", ...small],
  "a changed picture": ["--image", picture, "--strength", "0.6", "--steps", "4"],
  "a mask": ["--image", picture, "--mask", picture, "--size", "24x32", "--steps", "3", "--strength", "0.7"],
  "a mask with a soft edge": [
    ...["--image", picture, "--mask", picture, "--mask-blur", "2", "--size", "24x32", "--steps", "3"],
  ],
  "a seed of 64 bits": ["--seed", "18446744073709551615", ...small],
  "Deno's own engine": ["--engine", "deno", ...small],
  "FLUX with a LoRA": ["--model", flux, "--lora", `${lora}:0.5`, "--max-sequence-length", "32", ...small],
  "noise of two seeds": ["--variation", "7:0.3", "--seed-size", "24x32", ...small],
  "two passes": [
    ...[
      "--hires",
      "48x64",
      "--hires-strength",
      "0.6",
      "--hires-steps",
      "2",
      "--hires-upscaler",
      "latent-bicubic",
    ],
    ...["--hires-scheduler", "DPM++ 2M", "--hires-prompt", "a red apple", ...small],
  ],
  "layers of CLIP left out": ["--clip-skip", "1", ...small],
  "perturbed attention": ["--pag", "2", ...small],
  "steps left out": ["--cache", "easy:0.3", "--size", "32x32", "--steps", "14"],
  "FLUX with steps left out": [
    ...[
      "--model",
      flux,
      "--cache",
      "first-block:0.9",
      "--max-sequence-length",
      "32",
      "--size",
      "32x32",
      "--steps",
      "5",
    ],
  ],
  "a DDPM": ["--model", join(root, "models/emoji-ddpm"), "--steps", "2", "--seed", "-3"],
};
for (const [what, args] of Object.entries(drawn)) {
  Deno.test(`--replay draws a picture of ${what} again to the byte, and has nothing to say`, () =>
    inFolder(async (folder) => {
      await draw(folder, ...args, "--out", "a.png");
      const { stderr } = await draw(folder, "--replay", "a.png", "--out", "b.png");
      assert.doesNotMatch(stderr, /Not all is as/);
      assert.deepEqual(Deno.readFileSync(join(folder, "b.png")), Deno.readFileSync(join(folder, "a.png")));
    }));
}

Deno.test("pictures of a batch are replayed one by one, those of seeds over 2^53 too", () =>
  inFolder(async (folder) => {
    const seed = "9007199254740993"; // no number holds it
    await draw(folder, "--seed", seed, "--count", "2", ...small, "--out", "a.png");
    const { text } = await readPng(join(folder, "a-2.png"));
    assert.match(text["denoise"]!, /"seed":9007199254740994[,}]/);
    await draw(folder, "--replay", "a-2.png", "--out", "b.png");
    assert.deepEqual(Deno.readFileSync(join(folder, "b.png")), Deno.readFileSync(join(folder, "a-2.png")));
  }));

Deno.test("--replay draws what the loop of stable_diffusion.ts drew, and has nothing to say", () =>
  inFolder(async (folder) => {
    const { code, stderr } = await runScript(folder, "stable_diffusion.ts", "a red apple", "--seed", "-2");
    assert.equal(code, 0, stderr);
    const replay = await draw(folder, "--replay", "stable_diffusion.png", "--out", "b.png");
    assert.doesNotMatch(replay.stderr, /Not all is as/);
    const [a, b] = [
      await readPng(join(folder, "stable_diffusion.png")),
      await readPng(join(folder, "b.png")),
    ];
    assert.deepEqual(b.data, a.data);
  }));

Deno.test("--replay says what is not as it was, and draws all the same", () =>
  inFolder(async (folder) => {
    await Deno.mkdir(join(folder, "model"));
    copy(emoji, join(folder, "model"));
    await draw(folder, "--model", "model", ...small, "--out", "a.png");
    const weights = join(folder, "model/vae/diffusion_pytorch_model.safetensors");
    changeIn(weights);
    const { stderr } = await draw(folder, "--replay", "a.png", "--dtype", "f16", "--out", "b.png");
    assert.match(
      stderr,
      /^Not all is as when a\.png was drawn: the dtype \(f16, was f32\), the model's weights \([0-9a-f]{16}, was [0-9a-f]{16}\)$/m,
    );
  }));

Deno.test("a model's folder draws with what nothing here reads in it, and with another autoencoder in place of its own", () =>
  inFolder(async (folder) => {
    const model = join(folder, "model");
    Deno.mkdirSync(model);
    copy(join(root, "test/fixtures/stable_diffusion_xl/pipeline"), model);
    const index = join(model, "model_index.json");
    const parts = JSON.parse(Deno.readTextFileSync(index));
    Object.assign(parts, {
      feature_extractor: ["transformers", "CLIPImageProcessor"], // its folder has no weights
      safety_checker: ["stable_diffusion", "StableDiffusionSafetyChecker"], // it has no folder
    });
    Deno.writeTextFileSync(index, JSON.stringify(parts));
    Deno.mkdirSync(join(model, "feature_extractor"));
    Deno.writeTextFileSync(join(model, "feature_extractor/preprocessor_config.json"), "{}");
    await draw(folder, "--model", "model", "--steps", "2", "--size", "16x16", "--out", "a.png");
    const { stderr } = await draw(folder, "--replay", "a.png", "--out", "b.png");
    assert.doesNotMatch(stderr, /Not all is as/);
    Deno.renameSync(join(model, "vae"), join(folder, "other"));
    await draw(folder, ...["--model", "model", "--vae", "other", "--steps", "2", "--size", "16x16"]);
    const odd = ["--model", "model", "--vae", "other", "--size", "15x16"];
    const { stderr: line } = await runScript(folder, "generate.ts", ...odd);
    assert.match(
      line,
      /^Cannot take --size 15x16: expected multiples of \d+ with this model; 16x16 would do$/m,
    );
  }));

Deno.test("--replay says that another autoencoder is not as it was; recipes of before say nothing of them", () =>
  inFolder(async (folder) => {
    Deno.mkdirSync(join(folder, "vae"));
    copy(join(emoji, "vae"), join(folder, "vae"));
    await draw(folder, "--vae", "vae", ...small, "--out", "a.png");
    const again = await draw(folder, "--replay", "a.png", "--out", "b.png");
    assert.doesNotMatch(again.stderr, /Not all is as/);

    const weights = join(folder, "vae/diffusion_pytorch_model.safetensors");
    changeIn(weights);
    const { stderr } = await draw(folder, "--replay", "a.png", "--out", "b.png");
    assert.match(
      stderr,
      /^Not all is as when a\.png was drawn: the autoencoder's weights \([0-9a-f]{16}, was [0-9a-f]{16}\)$/m,
    );

    const { text, ...pixels } = await readPng(join(folder, "a.png"));
    const { vaeWeights, ...recipe } = JSON.parse(text["denoise"]!);
    assert.match(vaeWeights, /^[0-9a-f]{16}$/);
    await writePng(join(folder, "old.png"), pixels, { denoise: JSON.stringify(recipe) });
    const old = await draw(folder, "--replay", "old.png", "--out", "b.png");
    assert.doesNotMatch(old.stderr, /Not all is as/);
  }));

Deno.test("a recipe has the contents of all that is named beside the model", () =>
  inFolder(async (folder) => {
    const fixtures = join(root, "test/fixtures");
    const beside: Record<string, string> = {
      vae: "controlnet/vae",
      net: "controlnet/controlnet",
      lora: "loras/peft_biases",
      ip: "ip_adapter",
    };
    for (const [name, source] of Object.entries(beside)) {
      Deno.mkdirSync(join(folder, name));
      copy(join(fixtures, source), join(folder, name));
    }
    Deno.copyFileSync(join(fixtures, "t2i_adapter/full.safetensors"), join(folder, "t2i.safetensors"));
    Deno.copyFileSync(join(fixtures, "textual_inversion/bare.safetensors"), join(folder, "cat.safetensors"));
    const at = (name: string) => join(folder, name);
    const settings = {
      ...defaultsOf(options),
      vae: at("vae"),
      controlnet: [`${at("net")}:0.5`],
      "t2i-adapter": [at("t2i.safetensors")],
      lora: [`${at("lora")}:0.5`],
      "ip-adapter": [`${at("ip/full.safetensors")}:0.5`],
      embedding: [`${at("cat.safetensors")}=<cat>`],
    };
    using _device = await openDevice();
    using pipeline = await DiffusionPipeline.fromPretrained(emoji);
    const contents = () => contentsOf(pipeline, settings, emoji);
    const before = await contents();
    const changed: [file: string, key: keyof typeof before][] = [
      ["vae/config.json", "vaeWeights"],
      ["net/config.json", "controlnetWeights"],
      ["t2i.safetensors", "t2iAdapterWeights"],
      ["lora/adapter_config.json", "loraConfigs"],
      ["lora/adapter_model.safetensors", "loraWeights"],
      ["ip/full.safetensors", "ipAdapterWeights"],
      ["ip/image_encoder/config.json", "ipAdapterWeights"],
      ["cat.safetensors", "embeddingWeights"],
    ];
    for (const [file, key] of changed) {
      assert.match([before[key]].flat().join(), /^[0-9a-f]{16}(,[0-9a-f]{16})*$/, key);
      const bytes = Deno.readFileSync(at(file));
      changeIn(at(file));
      const after = await contents();
      assert.notDeepEqual(after[key], before[key], file);
      assert.deepEqual({ ...after, [key]: before[key] }, before, file);
      Deno.writeFileSync(at(file), bytes);
    }
  }));

Deno.test("--replay of what is no picture of Denoise's says what it is", () =>
  inFolder(async (folder) => {
    const pixel = { width: 1, height: 1, channels: 1, data: new Uint8Array(1) } as const;
    await writePng(join(folder, "plain.png"), pixel);
    await writePng(join(folder, "comfy.png"), pixel, { workflow: "{}", prompt: "{}" });
    await writePng(join(folder, "a1111.png"), pixel, { parameters: "a cat\nSteps: 20" });
    await writePng(join(folder, "broken.png"), pixel, { denoise: '{"steps": "many"}' });
    Deno.writeTextFileSync(join(folder, "README.md"), "# Read me first\n");
    const lines: Record<string, RegExp> = {
      "plain.png":
        /^Cannot replay plain\.png: expected a picture that Denoise made, got one without its settings\n$/,
      "comfy.png":
        /^Cannot replay comfy\.png: expected a picture that Denoise made, got one of ComfyUI or its like\n$/,
      "a1111.png": /^Cannot replay a1111\.png: .*, got one of A1111 or its like\n$/,
      "broken.png":
        /^Cannot replay broken\.png: its setting steps is wrong: .*expected a whole number from 1\n$/,
      "README.md": /^Cannot replay README\.md: expected a PNG, got .*; name a PNG that Denoise made\n$/,
      "none.png": /^Cannot replay none\.png: no such file; .*\n$/,
    };
    for (const [name, line] of Object.entries(lines)) {
      const { code, stderr } = await runScript(folder, "generate.ts", "--replay", name);
      assert.equal(code, 1);
      assert.match(stderr, line);
    }
  }));

async function draw(folder: string, ...args: string[]) {
  const outcome = await runScript(folder, "generate.ts", ...args);
  assert.equal(outcome.code, 0, outcome.stderr);
  return outcome;
}

/** Changes a bit near a file's end. */
function changeIn(path: string): void {
  const bytes = Deno.readFileSync(path);
  bytes[bytes.length - 2]! ^= 1;
  Deno.writeFileSync(path, bytes);
}

function copy(from: string, to: string): void {
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (!isDirectory) Deno.copyFileSync(join(from, name), join(to, name));
    else {
      Deno.mkdirSync(join(to, name));
      copy(join(from, name), join(to, name));
    }
  }
}
