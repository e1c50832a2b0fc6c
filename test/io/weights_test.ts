import assert from "node:assert/strict";
import { basename } from "node:path";
import { findWeights } from "../../src/io/weights.ts";
import { refusalOf, TestFolder } from "./files.ts";

/**
 * What a folder holds, the variant asked for, what is taken,
 * and whether a notice says that the variant is missing.
 */
const cases: [string[], string | undefined, string, boolean?][] = [
  [
    ["diffusion_pytorch_model.bin", "diffusion_pytorch_model.safetensors"],
    undefined,
    "diffusion_pytorch_model.safetensors",
  ],
  [
    ["diffusion_pytorch_model.bin", "diffusion_pytorch_model.fp16.safetensors"],
    undefined,
    "diffusion_pytorch_model.bin",
  ],
  [["pytorch_model.bin"], undefined, "pytorch_model.bin"],
  [["pytorch_model.bin", "model.safetensors"], undefined, "model.safetensors"],
  [["model.safetensors", "model.safetensors.index.json"], undefined, "model.safetensors.index.json"],
  [["model.safetensors", "pytorch_model.bin.index.json"], undefined, "model.safetensors"],
  [["model.safetensors", "model.fp16.safetensors"], "fp16", "model.fp16.safetensors"],
  [["model.safetensors", "pytorch_model.fp16.bin"], "fp16", "pytorch_model.fp16.bin"],
  [
    ["model.safetensors.index.fp16.json", "model.fp16.safetensors"],
    "fp16",
    "model.safetensors.index.fp16.json",
  ],
  [["model.safetensors.fp16.index.json"], "fp16", "model.safetensors.fp16.index.json"],
  [["model.safetensors"], "fp16", "model.safetensors", true],
  [["model.non_ema.safetensors", "model.safetensors"], "non_ema", "model.non_ema.safetensors"],
];

for (const [names, variant, expected, noticed = false] of cases) {
  const wanted = variant ? ` for variant ${variant}` : "";
  Deno.test(`findWeights() takes ${expected} of ${names.join(", ")}${wanted}`, async () => {
    using folder = new TestFolder();
    for (const name of names) folder.write(name, "");
    const { path, notice } = await findWeights(folder.path, { variant });
    assert.equal(basename(path), expected);
    assert.equal(notice, noticed ? `${folder.path} has no fp16 weights; taking ${expected}` : undefined);
  });
}

Deno.test("findWeights() says what it expected and what it found", async () => {
  using folder = new TestFolder();
  assert.match(
    await refusalOf(findWeights(folder.path)),
    /^Cannot load weights from .+: expected diffusion_pytorch_model\.safetensors or \.bin, got no files; check /,
  );
  for (const name of "abcdefg") folder.write(name, "");
  assert.match(await refusalOf(findWeights(folder.path)), /got a, b, c, d, e and 2 more; /);
  assert.match(await refusalOf(findWeights(`${folder.path}/none`)), /none: no such folder/);
});
