import assert from "node:assert/strict";
import { chooseLora, findLora } from "../../../src/io/lora/find.ts";
import { TestFolder } from "../../support/files.ts";
import { Cache, commit, HubServer } from "../hub/hub_fixture.ts";

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
      "name one, e.g. owner/lora/a.safetensors",
  });
  assert.throws(() => chooseLora(["README.md", "deep/a.safetensors"], "owner/lora"), {
    message: "Cannot find a LoRA in owner/lora: expected a .safetensors file, got README.md; name it, e.g. " +
      "owner/lora/style.safetensors",
  });
});

Deno.test("chooseLora() tells a model's folder from a LoRA's", () => {
  for (const index of ["model_index.json", "config.json"]) {
    assert.throws(() => chooseLora([index, "unet/model.safetensors"], "owner/sd"), {
      message: "Cannot find a LoRA in owner/sd: expected a .safetensors file, got a model",
    });
  }
});

Deno.test("findLora() takes a file, or finds it in a folder", async () => {
  using folder = new TestFolder();
  const path = folder.write("style.safetensors", "");
  assert.equal(await findLora(path), path);
  assert.equal(await findLora(folder.path), path);
  const odd = folder.write("odd/style #2 (100%?).safetensors", "");
  assert.equal(await findLora(odd), odd);
  await assert.rejects(findLora(`${folder.path}/other.safetensors`), {
    message: `Cannot load ${folder.path}/other.safetensors: no such file; check the path`,
  });
});

/** A repository of several LoRAs, one in a folder. */
const styles = { "a-4steps.safetensors": "a", "b-8steps.safetensors": "b", "deep/c.safetensors": "c" };

const addresses: [text: string, content: string][] = [
  ["owner/tiny/a-4steps.safetensors", "a"],
  ["owner/tiny@main/b-8steps.safetensors", "b"],
  [`owner/tiny@${commit}/deep/c.safetensors`, "c"],
  ["owner/tiny/deep", "c"],
  ["hf://owner/tiny/a-4steps.safetensors", "a"],
  ["https://huggingface.co/owner/tiny/blob/main/a-4steps.safetensors", "a"],
  ["https://huggingface.co/owner/tiny/resolve/main/deep/c.safetensors?download=true", "c"],
  ["hf.co/owner/tiny/blob/main/b-8steps.safetensors", "b"],
  ["https://huggingface.co/owner/tiny/tree/main/deep", "c"],
];

for (const [text, content] of addresses) {
  Deno.test(`findLora() fetches the file that ${text} names`, async () => {
    await using hub = new HubServer({ files: styles });
    await using cache = await Cache.create();
    const all: Record<string, string> = {
      HOME: cache.path,
      HF_HUB_CACHE: cache.path,
      HF_ENDPOINT: hub.endpoint,
    };
    const path = await findLora(text, { env: (name) => all[name] });
    assert.equal(await Deno.readTextFile(path), content);
    // The address of the mirror is one of the hub, too.
    const mirrored = text.replace("https://huggingface.co", hub.endpoint);
    assert.equal(await findLora(mirrored, { env: (name) => all[name] }), path);
  });
}

Deno.test("findLora() fetches the config beside a file of peft", async () => {
  const files = { "adapter_config.json": "{}", "adapter_model.safetensors": "a", "extra.safetensors": "b" };
  await using hub = new HubServer({ files });
  for (const text of ["owner/tiny", "owner/tiny/adapter_model.safetensors"]) {
    await using cache = await Cache.create();
    const all: Record<string, string> = {
      HOME: cache.path,
      HF_HUB_CACHE: cache.path,
      HF_ENDPOINT: hub.endpoint,
    };
    const path = await findLora(text, { env: (name) => all[name] });
    assert.equal(await Deno.readTextFile(path), "a");
    assert.equal(
      await Deno.readTextFile(path.replace("adapter_model.safetensors", "adapter_config.json")),
      "{}",
    );
  }
});

Deno.test("findLora() says which files there are, as one may name them", async () => {
  await using hub = new HubServer({ files: styles });
  await using cache = await Cache.create();
  const all: Record<string, string> = {
    HOME: cache.path,
    HF_HUB_CACHE: cache.path,
    HF_ENDPOINT: hub.endpoint,
  };
  await assert.rejects(findLora("owner/tiny", { env: (name) => all[name] }), {
    message:
      "Cannot choose a LoRA of owner/tiny: expected one file, got a-4steps.safetensors, b-8steps.safetensors; " +
      "name one, e.g. owner/tiny/a-4steps.safetensors",
  });
});

Deno.test("findLora() looks for a file here where its folder is here", async () => {
  using folder = new TestFolder();
  const here = Deno.cwd();
  folder.write("owner/name/a.safetensors", "");
  try {
    Deno.chdir(folder.path);
    assert.equal(await findLora("owner/name/a.safetensors"), "owner/name/a.safetensors");
    await assert.rejects(findLora("owner/name/b.safetensors"), {
      message: "Cannot load owner/name/b.safetensors: no such file; check the path",
    });
  } finally {
    Deno.chdir(here);
  }
});
