import assert from "node:assert/strict";
import { readPng } from "../../src/io/images/png.ts";
import { TestFolder } from "../support/files.ts";
import { behind, toLdmUnet, toLdmVae } from "../support/authors_layout.ts";
import { emoji } from "../support/emoji.ts";
import { readRaw, safetensorsOf } from "../support/raw_tensors.ts";
import { runScript } from "../support/script.ts";

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
  const flower = ["a nice flower", "--size", "32x32", "--steps", "2", "--out", out];
  const { code, stderr } = await runScript(folder, "generate.ts", ...flower, ...args);
  assert.equal(code, 0, stderr);
  return await readPng(`${folder}/${out}`);
}
