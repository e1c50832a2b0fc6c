import assert from "node:assert/strict";
import { join } from "node:path";
import { readPng } from "../../src/io/png.ts";
import { TestFolder } from "../io/files.ts";
import { behind, toLdmUnet, toLdmVae } from "../support/authors_layout.ts";
import { readRaw, safetensorsOf } from "../support/raw_tensors.ts";

const root = join(import.meta.dirname!, "../..");
const emoji = join(root, "models/emoji-diffusion");
const WEIGHTS = "diffusion_pytorch_model.safetensors";

Deno.test("generate.ts draws from a single file what it draws from its folder", async () => {
  using folder = new TestFolder();
  const file = folder.write(
    "sd.safetensors",
    safetensorsOf(
      new Map([
        ...toLdmUnet(await readRaw(`${emoji}/unet/${WEIGHTS}`), 1),
        ...toLdmVae(await readRaw(`${emoji}/vae/${WEIGHTS}`), 3),
        ...behind(await readRaw(`${emoji}/text_encoder/model.safetensors`), "cond_stage_model.transformer."),
      ]),
    ),
  );
  const want = await drawn(folder.path, "folder.png", "--model", emoji);
  const got = await drawn(folder.path, "file.png", "--model", file, "--config", emoji);
  assert.deepEqual([...got.data], [...want.data]);
});

async function drawn(folder: string, out: string, ...args: string[]) {
  const script = [join(root, "scripts/generate.ts"), "a nice flower", "--size", "32x32", "--steps", "2"];
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", join(root, "deno.json"), ...script, "--out", out, ...args],
    cwd: folder,
    env: { NO_COLOR: "1", HF_HUB_OFFLINE: "1" },
    stdin: "null",
  });
  const { code, stderr } = await command.output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return await readPng(`${folder}/${out}`);
}
