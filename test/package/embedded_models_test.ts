import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { embeddedModel } from "denoise";
import files from "../../src/io/embedded_models.json" with { type: "json" };

const models = join(import.meta.dirname!, "../../models");

Deno.test("embedded_models.json lists the files of models/ as they are", async () => {
  for (const [name, listed] of Object.entries(files)) {
    const found = await listing(join(models, name));
    assert.deepEqual(Object.fromEntries(found), listed, name);
  }
});

Deno.test("embeddedModel() is the folder of a clone, or what `from` holds", async () => {
  assert.equal(await embeddedModel("emoji-ddpm"), join(models, "emoji-ddpm"));
  assert.equal(await embeddedModel("emoji-diffusion", { from: models }), join(models, "emoji-diffusion"));
  await assert.rejects(embeddedModel("emoji-ddpm", { from: "/nowhere" }), {
    message: "Cannot find emoji-ddpm: expected it in /nowhere/emoji-ddpm, as in a clone of Denoise; " +
      "name a folder or an address that holds it as `from`",
  });
  await assert.rejects(embeddedModel("emoji" as "emoji-ddpm"), {
    message: "Cannot find model emoji: expected emoji-diffusion or emoji-ddpm",
  });
});

Deno.test("embeddedModel() downloads a model from an address once, and checks it", async () => {
  const cache = await Deno.makeTempDir();
  const before = Deno.env.get("XDG_CACHE_HOME");
  Deno.env.set("XDG_CACHE_HOME", cache);
  const seen: string[] = [];
  let damaged = true;
  await using server = Deno.serve({ port: 0, onListen: () => {} }, async (request) => {
    const path = decodeURIComponent(new URL(request.url).pathname);
    seen.push(path);
    const bytes = await Deno.readFile(join(models, path)).catch(() => undefined);
    if (!bytes) return new Response(null, { status: 404 });
    if (damaged && path.endsWith("config.json")) bytes[0] = 0;
    return new Response(bytes);
  });
  const from = `http://localhost:${server.addr.port}`;
  try {
    await assert.rejects(embeddedModel("emoji-ddpm", { from }), {
      message: /^Cannot trust .*expected checksum/,
    });
    damaged = false;
    const folder = await embeddedModel("emoji-ddpm", { from });
    assert.ok(folder.startsWith(cache), folder);
    assert.deepEqual(Object.fromEntries(await listing(folder)), files["emoji-ddpm"]);
    const count = seen.length;
    assert.equal(await embeddedModel("emoji-ddpm", { from }), folder);
    assert.equal(seen.length, count);
    await assert.rejects(embeddedModel("emoji-diffusion", { from: `${from}/elsewhere` }), {
      message:
        `Cannot download ${from}/elsewhere/emoji-diffusion/model_index.json: expected status 200, got 404; check \`from\``,
    });
  } finally {
    if (before === undefined) Deno.env.delete("XDG_CACHE_HOME");
    else Deno.env.set("XDG_CACHE_HOME", before);
    await Deno.remove(cache, { recursive: true });
  }
});

/** Sizes and hashes of a folder's files, by path. */
async function listing(folder: string, prefix = ""): Promise<[string, { size: number; sha256: string }][]> {
  const found: [string, { size: number; sha256: string }][] = [];
  for await (const { name, isDirectory } of Deno.readDir(join(folder, prefix))) {
    const path = prefix ? `${prefix}/${name}` : name;
    if (isDirectory) {
      found.push(...await listing(folder, path));
      continue;
    }
    const bytes = await Deno.readFile(join(folder, path));
    found.push([path, { size: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") }]);
  }
  return found;
}
