import assert from "node:assert/strict";
import { join } from "node:path";
import { loadPng } from "denoise";
import { TestFolder } from "../support/files.ts";
import { runScript } from "../support/script.ts";

const root = join(import.meta.dirname!, "../..");
const emoji = join(root, "models/emoji-diffusion");
const PARTS = ["unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model"];

Deno.test("generate.ts --variant takes the weights of that name, keeps it in the recipe, and is refused for one file", async () => {
  using folder = new TestFolder();
  const out = join(folder.path, "a.png");
  const copy = (name: string, as = name) => folder.write(`m/${as}`, Deno.readFileSync(join(emoji, name)));
  for (const name of ["model_index.json", "scheduler/scheduler_config.json"]) copy(name);
  for (const { name } of Deno.readDirSync(join(emoji, "tokenizer"))) copy(`tokenizer/${name}`);
  for (const part of PARTS) {
    copy(`${part.split("/")[0]}/config.json`);
    copy(`${part}.safetensors`, `${part}.fp16.safetensors`);
    folder.write(`m/${part}.safetensors`, "damaged, so that to read it fails");
  }
  const args = ["a flower", "--model", join(folder.path, "m"), "--steps", "1", "--out", out];
  const { stderr, code } = await runScript(root, "generate.ts", ...args, "--variant", "fp16");
  assert.equal(code, 0, stderr);
  assert.equal((await loadPng(out)).recipe?.["variant"], "fp16");
  assert.match(
    (await runScript(root, "generate.ts", ...args)).stderr,
    /expected weights .*, got a text that begins "damaged/,
  );
  const file = join(folder.path, "m", `${PARTS[0]}.fp16.safetensors`);
  const refused = await runScript(root, "generate.ts", "x", "--model", file, "--variant", "fp16");
  assert.match(
    refused.stderr,
    /^Cannot take --variant with .*: one file has one; it is for folders and repositories\n$/,
  );
});
