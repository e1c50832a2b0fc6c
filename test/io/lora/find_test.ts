import assert from "node:assert/strict";
import { chooseLora, findLora } from "../../../src/io/lora/find.ts";
import { TestFolder } from "../files.ts";

Deno.test("chooseLora() takes the file that is named, else the usual one, else the only one", () => {
  const one = ["README.md", "mjV6.safetensors", "images/a.png"];
  assert.equal(chooseLora(one, "owner/lora"), "mjV6.safetensors");
  const usual = ["other.safetensors", "pytorch_lora_weights.safetensors", "pytorch_lora_weights.bin"];
  assert.equal(chooseLora(usual, "owner/lora"), "pytorch_lora_weights.safetensors");
  assert.equal(chooseLora(usual, "owner/lora", { weightName: "other.safetensors" }), "other.safetensors");
  assert.equal(chooseLora(["pytorch_lora_weights.bin"], "owner/lora"), "pytorch_lora_weights.bin");
  const inside = ["a.safetensors", "b.safetensors", "deep/c.safetensors"];
  assert.equal(chooseLora(inside, "owner/lora", { subfolder: "deep" }), "deep/c.safetensors");
  assert.equal(
    chooseLora(inside, "owner/lora", { subfolder: "deep", weightName: "d.safetensors" }),
    "deep/d.safetensors",
  );
  const training = ["optimizer.safetensors", "a.safetensors", "checkpoint-500.safetensors"];
  assert.equal(chooseLora(training, "owner/lora"), "a.safetensors");
});

Deno.test("chooseLora() lists the files where there are several, and what is there where there is none", () => {
  assert.throws(() => chooseLora(["b.safetensors", "a.safetensors"], "owner/lora"), {
    message: "Cannot choose a LoRA of owner/lora: expected one file, got a.safetensors, b.safetensors; " +
      "name one as weightName",
  });
  assert.throws(() => chooseLora(["README.md", "deep/a.safetensors"], "owner/lora"), {
    message:
      "Cannot find a LoRA in owner/lora: expected a .safetensors file, got README.md; name it as weightName",
  });
});

Deno.test("findLora() takes a file, or finds it in a folder", async () => {
  using folder = new TestFolder();
  const path = folder.write("style.safetensors", "");
  assert.equal(await findLora(path), path);
  assert.equal(await findLora(folder.path), path);
  await assert.rejects(findLora(`${folder.path}/other.safetensors`), {
    message: `Cannot load ${folder.path}/other.safetensors: no such file; check the path`,
  });
});
