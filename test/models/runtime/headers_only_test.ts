import assert from "node:assert/strict";
import { join } from "node:path";
import { FluxTransformer2DModel, T5EncoderModel, UNet2DModel } from "../../../src/models/mod.ts";
import { Cache, HubServer, repo } from "../../io/hub/hub_fixture.ts";
import { fixture } from "../../support/fixtures.ts";
import "../../support/device.ts";

const folders = ["ddpm/pipeline/unet", "flux/pipeline/transformer", "flux/pipeline/text_encoder_2"];

Deno.test("a model is planned for from headers alone, by requests for ranges of bytes", async () => {
  await using server = new HubServer({ files: await files() });
  await using cache = await Cache.create();
  await onHub(server, cache, async () => {
    for (
      const [type, subfolder, bytes] of [
        [UNet2DModel, "unet", 140_000],
        [FluxTransformer2DModel, "transformer", 150_000],
        [T5EncoderModel, "text_encoder_2", 20_000],
      ] as const
    ) {
      using model = await type.fromPretrained(repo, { subfolder, dtype: "f32", headersOnly: true });
      assert.ok(model.bytes > bytes / 2 && !model.loaded, `${subfolder}: ${model.bytes}`);
      await assert.rejects(model.load(), {
        message: `Cannot load ${type.name}: only its headers were opened; open it without headersOnly`,
      });
    }
  });
  const weights = server.seen.filter(({ path, method }) => path.endsWith(".safetensors") && method === "GET");
  assert.ok(weights.length >= 3);
  for (const { path, range } of weights) assert.match(range ?? "", /^bytes=\d+-\d+$/, path);
  assert.deepEqual(await cache.partials(), []);
});

Deno.test("headers say the same as a folder, and of a folder nothing is fetched", async () => {
  await using server = new HubServer({ files: await files() });
  await using cache = await Cache.create();
  await onHub(server, cache, async () => {
    using remote = await UNet2DModel.fromPretrained(repo, { subfolder: "unet", headersOnly: true });
    const asked = server.seen.length;
    using local = await UNet2DModel.fromPretrained(fixture("ddpm/pipeline"), {
      subfolder: "unet",
      headersOnly: true,
    });
    assert.equal(server.seen.length, asked);
    assert.deepEqual([remote.bytes, remote.config], [local.bytes, local.config]);
  });
});

Deno.test("a server that sends whole files instead of ranges is refused in one line", async () => {
  const fault = (request: Request, path: string) =>
    path.endsWith(".safetensors") && request.headers.has("range") ? new Response("all of it") : undefined;
  await using server = new HubServer({ files: await files(), fault });
  await using cache = await Cache.create();
  await onHub(server, cache, async () => {
    await assert.rejects(UNet2DModel.fromPretrained(repo, { subfolder: "unet", headersOnly: true }), {
      message: "Cannot read unet/diffusion_pytorch_model.safetensors of owner/tiny in part: " +
        "expected status 206 and bytes from 0, got 200; download it whole",
    });
  });
});

/** The fixtures' models as files of one repository. */
async function files(): Promise<Record<string, Uint8Array<ArrayBuffer>>> {
  const all: Record<string, Uint8Array<ArrayBuffer>> = {};
  for (const folder of folders) {
    for await (const { name } of Deno.readDir(fixture(folder))) {
      all[`${folder.split("/").at(-1)}/${name}`] = await Deno.readFile(join(fixture(folder), name));
    }
  }
  return all;
}

/** Runs `work` with the hub's variables pointing to a server and a cache. */
async function onHub(server: HubServer, cache: Cache, work: () => Promise<void>): Promise<void> {
  const settings = { HF_ENDPOINT: server.endpoint, HF_HUB_CACHE: cache.path };
  for (const [name, value] of Object.entries(settings)) Deno.env.set(name, value);
  try {
    await work();
  } finally {
    for (const name of Object.keys(settings)) Deno.env.delete(name);
  }
}
