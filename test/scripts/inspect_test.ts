import assert from "node:assert/strict";
import { join } from "node:path";
import { TestFolder } from "../io/files.ts";
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
    /^transformer FluxTransformer2DModel Q8_0, F32 112 135\.04 k /,
  );
  assert.match(text, /has no text_encoder_2: taking it from .*flux\/pipeline/);
});

Deno.test("inspect.ts says what a LoRA is, and whether it fits a model", async () => {
  const path = fixture("flux/lora/kohya.safetensors");
  const text = await inspect(path, "--model", fixture("flux/pipeline"));
  assert.equal(line(text, path), `${path}: a LoRA in the format of kohya`);
  assert.equal(line(text, "rank"), "rank 6, alpha 3 (by tensor)");
  assert.match(line(text, "fits"), /^fits .*: \d+ layers, e\.g\. "transformer\./);
});

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
