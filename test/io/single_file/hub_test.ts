import assert from "node:assert/strict";
import { findSingleFileModel, readSingleFileIndex } from "../../../src/io/single_file/contents.ts";
import { openSingleFile } from "../../../src/io/single_file/file.ts";
import { toLdmUnet } from "../../support/authors_layout.ts";
import { fixture } from "../../support/fixtures.ts";
import { type RawTensor, readRaw, safetensorsOf } from "../../support/raw_tensors.ts";
import { Cache } from "../hub/hub_fixture.ts";
import { commit, HubServer } from "../hub/hub_server.ts";

const unet = toLdmUnet(await readRaw(fixture("unet_2d_condition/weights/base.safetensors")), 1);
const padding: RawTensor = { dtype: "U8", shape: [1 << 20], bytes: new Uint8Array(1 << 20) };
const file = safetensorsOf(new Map([...unet, ["model_ema.decay", padding]])) as Uint8Array<ArrayBuffer>;

/** A hub with one file, and how to ask it. */
async function withHub(
  test: (hub: HubServer, options: { env: (name: string) => string | undefined }) => Promise<void>,
) {
  await using hub = new HubServer({ files: { "single/model.safetensors": file, "README.md": "" } });
  await using cache = await Cache.create();
  const all: Record<string, string> = {
    HOME: cache.path,
    HF_HUB_CACHE: cache.path,
    HF_ENDPOINT: hub.endpoint,
  };
  await test(hub, { env: (name) => all[name] });
}

const names = [
  "owner/tiny/single/model.safetensors",
  "https://huggingface.co/owner/tiny/blob/main/single/model.safetensors",
  "https://huggingface.co/owner/tiny/resolve/main/single/model.safetensors?download=true",
  "owner/tiny@main/single/model.safetensors",
];

for (const name of names) {
  Deno.test(`a single file is fetched as ${name}`, async () => {
    await withHub(async (_hub, options) => {
      const { family, commit: found, path } = await openSingleFile(name, options);
      assert.deepEqual([family, found], ["sd1", commit]);
      assert.deepEqual(await Deno.readFile(path), file);
    });
  });
}

Deno.test("of a single file on the hub the header alone is read where its tensors are not wanted", async () => {
  await withHub(async (hub, options) => {
    const model = await findSingleFileModel(names[0]!, "unet", { ...options, headersOnly: true });
    assert.ok("open" in model);
    using checkpoint = await model.open();
    assert.equal(checkpoint.tensors.size, unet.size);
    assert.ok(checkpoint.tensors.has("down_blocks.0.resnets.0.conv1.weight"));
    const asked = hub.requests("model.safetensors").filter(({ method }) => method === "GET");
    assert.ok(asked.length > 0 && asked.every(({ range }) => range !== null), "the whole file was asked for");
  });
});

Deno.test("what a single file of the hub lacks is said with where it is taken from", async () => {
  await withHub(async (_hub, options) => {
    const notices: string[] = [];
    const told = { ...options, onNotice: (line: string) => notices.push(line) };
    const { json } = await readSingleFileIndex(names[0]!, told);
    assert.equal(json._class_name, "StableDiffusionPipeline");
    const repo = "stable-diffusion-v1-5/stable-diffusion-v1-5";
    assert.deepEqual(await findSingleFileModel(names[0]!, "vae", told), {
      pathOrRepo: repo,
      subfolder: "vae",
    });
    assert.deepEqual(await findSingleFileModel(names[0]!, "vae", { ...told, base: "./sd" }), {
      ...{ pathOrRepo: "./sd", subfolder: "vae" },
    });
    assert.match(notices[0]!, /model\.safetensors has no vae: taking it from stable-diffusion-v1-5\//);
  });
});
