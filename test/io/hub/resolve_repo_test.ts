import assert from "node:assert/strict";
import { join } from "node:path";
import { safetensors, TestFolder } from "../../support/files.ts";
import { Cache, commit, files, HubServer, open, repo, wanted, weights } from "./hub_fixture.ts";
import { gitSha1, refuse, sha256 } from "./hub_server.ts";

Deno.test("resolveRepo() fetches only the needed files, into the layout of the Python cache", async () => {
  await using server = new HubServer({ files });
  await using cache = await Cache.create();
  const { folder, progress, ...opened } = await open(server, cache);

  assert.equal(folder, cache.at("snapshots", commit));
  assert.equal(opened.commit, commit);
  assert.deepEqual(opened.files, wanted);
  assert.deepEqual(await Deno.readFile(join(folder, wanted[1]!)), weights);
  assert.equal(await Deno.readTextFile(cache.at("refs", "main")), commit);
  assert.equal(
    await Deno.readLink(join(folder, wanted[1]!)),
    join("..", "..", "..", "blobs", sha256(weights)),
  );
  const config = server.bytes(wanted[0]!);
  assert.equal(
    await Deno.readLink(join(folder, wanted[0]!)),
    join("..", "..", "..", "blobs", gitSha1(config)),
  );
  assert.deepEqual(await cache.partials(), []);
  assert.deepEqual(server.requests("/resolve/").map(({ path }) => path.split(`${commit}/`)[1]), wanted);

  const steps = progress.filter(({ file }) => file === wanted[1]);
  assert.deepEqual(steps.at(-1), { file: wanted[1], loaded: 200_001, total: 200_001, done: true });
  assert.deepEqual(
    steps.map(({ loaded }) => loaded),
    steps.map(({ loaded }) => loaded).sort((a, b) => a - b),
  );
});

Deno.test("resolveRepo() fetches nothing the second time, and asks nobody for a commit", async () => {
  await using server = new HubServer({ files });
  await using cache = await Cache.create();
  await open(server, cache);
  server.seen.length = 0;
  assert.deepEqual((await open(server, cache)).progress, []);
  assert.deepEqual(server.seen.map(({ path }) => path), [`/api/models/${repo}/revision/main`]);

  server.seen.length = 0;
  assert.equal((await open(server, cache, { revision: commit })).commit, commit);
  assert.equal((await open(server, cache, { localFilesOnly: true })).commit, commit);
  assert.equal((await open(server, cache, { env: { HF_HUB_OFFLINE: "1" } })).commit, commit);
  assert.deepEqual(server.seen, []);
});

Deno.test("resolveRepo() uses a cache that Python wrote, without asking for a commit", async () => {
  await using cache = await Cache.create();
  await writeAsPython(cache);
  const offline = await open(undefined, cache, { localFilesOnly: true });
  assert.deepEqual(offline.files, wanted);
  assert.deepEqual(await Deno.readFile(join(offline.folder, wanted[1]!)), weights);
  assert.deepEqual((await open(undefined, cache, { revision: commit })).files, wanted);
});

Deno.test("resolveRepo() fetches what a Python cache lacks and keeps what it has", async () => {
  await using server = new HubServer({ files });
  await using cache = await Cache.create();
  await writeAsPython(cache);
  await Deno.remove(cache.at("blobs", sha256(weights))); // leaves a broken link
  await open(server, cache, { revision: commit });
  assert.deepEqual(server.requests("/resolve/").map(({ path }) => path.split(`${commit}/`)[1]), [wanted[1]]);
  assert.deepEqual(await Deno.readFile(cache.at("snapshots", commit, wanted[1]!)), weights);
});

Deno.test("resolveRepo() asks the hub where the few files of a cache that Python wrote allow no choice", async () => {
  await using server = new HubServer({ files });
  await using cache = await Cache.create();
  await writeAsPython(cache);
  const decided: Partial<Parameters<typeof open>[2]> = {
    files: (listing) => {
      if (!listing.includes("README.md")) throw new Error("Cannot choose: expected README.md");
      return ["README.md"];
    },
  };
  await assert.rejects(open(undefined, cache, { ...decided, localFilesOnly: true }), {
    message:
      `Cannot open ${repo} offline: what is here does not do (Cannot choose: expected README.md); run once with the network`,
  });
  assert.deepEqual((await open(server, cache, decided)).files, ["README.md"]);
});

Deno.test("resolveRepo() lists what is missing offline", async () => {
  await using server = new HubServer({ files });
  await using cache = await Cache.create();
  await assert.rejects(open(undefined, cache, { localFilesOnly: true }), {
    message: `Cannot open ${repo} offline: no revision "main" in ${cache.at()}; run once with the network`,
  });
  await assert.rejects(open(undefined, cache, { env: { TRANSFORMERS_OFFLINE: "1" } }), {
    message: /; run once without HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE$/,
  });
  await open(server, cache);
  await Deno.remove(cache.at("snapshots", commit, wanted[1]!));
  const missing = `missing ${wanted[1]}; run once with the network`;
  await assert.rejects(open(undefined, cache, { localFilesOnly: true }), {
    message: `Cannot open ${repo} offline: ${missing}`,
  });
  await assert.rejects(open(undefined, cache), {
    message: /^Cannot open owner\/tiny: no connection to .*, and missing unet/,
  });
});

Deno.test("resolveRepo() takes a file of the wrong size for missing", async () => {
  await using server = new HubServer({ files });
  await using cache = await Cache.create();
  await open(server, cache);
  await Deno.truncate(cache.at("blobs", sha256(weights)), 100);
  await assert.rejects(open(undefined, cache, { localFilesOnly: true }), {
    message: /missing unet\/diffusion/,
  });
  await open(server, cache);
  assert.deepEqual(await Deno.readFile(cache.at("blobs", sha256(weights))), weights);
});

Deno.test("resolveRepo() uses the cache and says so when the hub cannot be reached", async () => {
  await using server = new HubServer({ files });
  await using cache = await Cache.create();
  await open(server, cache);
  const { notices, files: found } = await open(undefined, cache);
  assert.deepEqual(found, wanted);
  assert.match(
    notices.join(),
    /^Using owner\/tiny as last fetched \(c0ffee00\): no connection to 127\.0\.0\.1:1/,
  );

  await using portal = new HubServer({ files, fault: () => new Response("<html>Welcome to the hotel") });
  assert.match((await open(portal, cache)).notices.join(), /expected a listing from .*, got "<html>Welcome/);
});

Deno.test("resolveRepo() uses the cache and says so when the hub refuses, but not for a revision that is gone", async () => {
  await using server = new HubServer({ files });
  await using cache = await Cache.create();
  await open(server, cache);
  for (const [status, code] of [[401, ""], [403, "GatedRepo"], [404, "RepoNotFound"], [451, ""]] as const) {
    await using refusing = new HubServer({ files, fault: () => refuse(status, code) });
    const { notices, files: found } = await open(refusing, cache, { token: "hf_old" });
    assert.deepEqual(found, wanted);
    assert.match(notices.join(), /^Using owner\/tiny as last fetched \(c0ffee00\): Cannot /);
    assert.equal(notices.length, 1);
  }
  await using without = new HubServer({ files, fault: () => refuse(404, "RevisionNotFound") });
  await assert.rejects(open(without, cache), /no revision "main"/);
});

Deno.test("resolveRepo() follows a branch to its new commit and shares the blobs", async () => {
  await using server = new HubServer({ files });
  await using cache = await Cache.create();
  const old = "1".repeat(40);
  await writeAsPython(cache, old);
  const { progress } = await open(server, cache);
  assert.ok(progress.every(({ done }) => done)); // linked, not fetched
  assert.deepEqual(server.requests("/resolve/"), []);
  assert.equal(await Deno.readTextFile(cache.at("refs", "main")), commit);
});

Deno.test("resolveRepo() fetches every shard that an index names", async () => {
  const index = {
    weight_map: { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" },
  };
  const sharded = {
    "unet/config.json": "{}",
    "unet/model.safetensors.index.json": JSON.stringify(index),
    "unet/model-00001-of-00002.safetensors": weights,
    "unet/model-00002-of-00002.safetensors": "second",
    "unet/model-00001-of-00002.fp16.safetensors": "decoy",
  };
  await using server = new HubServer({ files: sharded });
  await using cache = await Cache.create();
  const { folder, files: found } = await open(server, cache);
  assert.deepEqual(found, Object.keys(sharded).slice(0, 4));
  assert.equal(await Deno.readTextFile(join(folder, found[3]!)), "second");

  await Deno.remove(join(folder, found[3]!));
  await Deno.remove(cache.at("trees"), { recursive: true }); // as an older Python leaves it
  await assert.rejects(open(undefined, cache, { localFilesOnly: true }), {
    message: /missing unet\/model-00002-of/,
  });
  const local = { name: folder };
  await assert.rejects(open(undefined, cache, local), {
    message: /expected unet\/model-00002-of-00002.safetensors, got/,
  });
});

Deno.test("resolveRepo() uses a local folder as it is", async () => {
  await using cache = await Cache.create();
  await writeAsPython(cache);
  const folder = cache.at("snapshots", commit);
  const { progress: _, notices: __, ...local } = await open(undefined, cache, { name: folder });
  assert.deepEqual(local, { folder, files: wanted });
});

for (const name of ["./nowhere", "/nowhere/at/all", "..\\cat"]) {
  Deno.test(`resolveRepo() says that nothing is at ${name}`, async () => {
    await using cache = await Cache.create();
    const message = `Cannot open ${name}: expected a folder, got nothing there`;
    await assert.rejects(open(undefined, cache, { name }), { message });
  });
}

const noRepositories = [
  "a/b/c",
  "a--b/c",
  "owner/..",
  "owner/x y",
  "owner/x.git",
  "datasets/owner/x",
  "tiny",
];

for (const name of noRepositories) {
  Deno.test(`resolveRepo() refuses ${JSON.stringify(name)} as a repository`, async () => {
    await using cache = await Cache.create();
    await assert.rejects(open(undefined, cache, { name }), {
      message: /expected a folder that is here or a repository as owner\/name$/,
    });
  });
}

Deno.test("resolveRepo() refuses a name that is empty", async () => {
  await using cache = await Cache.create();
  await assert.rejects(open(undefined, cache, { name: "" }), {
    message: 'Cannot load a model: expected a folder or owner/name, got ""',
  });
});

Deno.test("resolveRepo() says what was perhaps meant by a name", async () => {
  using folder = new TestFolder();
  await using cache = await Cache.create();
  const here = Deno.cwd();
  for (const name of ["models/emoji-diffusion", "styles", "models/photo"]) {
    folder.write(`${name}/config.json`, "{}");
  }
  folder.write("README.md", "# A project\n");
  folder.write("model.unet", safetensors({}, []));
  try {
    Deno.chdir(folder.path);
    const refuses = async (name: string, line: RegExp) => {
      await assert.rejects(open(undefined, cache, { name, env: { HF_HUB_OFFLINE: "1" } }), (error: Error) => {
        assert.match(error.message, line);
        return true;
      });
    };
    await refuses("emoji-diffusion", /or a repository as owner\/name; did you mean models\/emoji-diffusion$/);
    await refuses("style", /; did you mean styles$/);
    await refuses(
      "./modles/emoji-diffusion",
      /^Cannot open \.\/modles.*: expected a folder, got nothing there$/,
    );
    await refuses("./models/photos", /got nothing there; did you mean models\/photo$/);
    await refuses(
      "models/emoji-difusion",
      /^Cannot open .* offline: .*; or did you mean models\/emoji-diffusion$/,
    );
    await refuses(
      "README.md",
      /: expected a folder, owner\/name or a file of weights .*, got a text that begins "# A project"; name the folder /,
    );
    await refuses("model.unet", /got a safetensors file; give its name the ending that it should have$/);
    await refuses("https://example.org/a/b", /got another host; download the file and name its path$/);
  } finally {
    Deno.chdir(here);
  }
});

for (
  const name of [
    `${repo}@main`,
    `${repo}@${commit}`,
    `hf://${repo}`,
    `https://huggingface.co/${repo}/tree/main`,
  ]
) {
  Deno.test(`resolveRepo() opens ${name}`, async () => {
    await using server = new HubServer({ files });
    await using cache = await Cache.create();
    const { folder, files: found } = await open(server, cache, { name });
    assert.deepEqual([folder, found], [cache.at("snapshots", commit), wanted]);
    await assert.rejects(open(server, cache, { name: `${repo}@v9` }), { message: /no revision "v9"; see / });
  });
}

for (const revision of ["../../x", "", "a\\b"]) {
  Deno.test(`resolveRepo() refuses ${JSON.stringify(revision)} as a revision`, async () => {
    await using cache = await Cache.create();
    await assert.rejects(open(undefined, cache, { revision }), {
      message: /expected a branch, tag or commit, got/,
    });
  });
}

Deno.test("resolveRepo() finds its settings where Python does", async () => {
  await using server = new HubServer({ files, prefix: "/mirror/hf" });
  await using cache = await Cache.create();
  const place = async (env: Record<string, string>) =>
    (await open(server, cache, { env: { HF_HUB_CACHE: undefined, ...env } })).folder.slice(
      cache.path.length + 1,
    );
  const rest = join("models--owner--tiny", "snapshots", commit);
  assert.equal(await place({}), join(".cache", "huggingface", "hub", rest));
  assert.equal(
    await place({ XDG_CACHE_HOME: join(cache.path, "xdg") }),
    join("xdg", "huggingface", "hub", rest),
  );
  assert.equal(await place({ HF_HOME: "~/hf" }), join("hf", "hub", rest));
  assert.ok(server.seen.every(({ path }) => path.startsWith("/mirror/hf/") || path.startsWith("/blob/")));

  assert.deepEqual(new Set(server.seen.map(({ authorization }) => authorization)), new Set([null]));
  const asked = async (env: Record<string, string>, token?: string) => {
    await open(server, cache, { env, token });
    return server.requests("/api/").at(-1)!.authorization;
  };
  await Deno.mkdir(join(cache.path, "signed-in"));
  await Deno.writeTextFile(join(cache.path, "signed-in", "token"), "hf_file\n");
  const HF_HOME = join(cache.path, "signed-in");
  assert.equal(await asked({ HF_HOME }), "Bearer hf_file");
  assert.equal(await asked({ HF_HOME, HUGGING_FACE_HUB_TOKEN: "hf_old" }), "Bearer hf_old");
  assert.equal(await asked({ HF_TOKEN: "hf_new", HUGGING_FACE_HUB_TOKEN: "hf_old" }), "Bearer hf_new");
  assert.equal(await asked({ HF_TOKEN: "hf_new" }, "hf_given"), "Bearer hf_given");
  await assert.rejects(asked({ HF_TOKEN: "hf_a b" }), (error: Error) => !error.message.includes("hf_a"));
});

Deno.test("resolveRepo() copies where HF_HUB_DISABLE_SYMLINKS forbids links", async () => {
  await using server = new HubServer({ files });
  await using cache = await Cache.create();
  const { folder } = await open(server, cache, { env: { HF_HUB_DISABLE_SYMLINKS: "1" } });
  assert.equal((await Deno.lstat(join(folder, wanted[1]!))).isSymlink, false);
  assert.deepEqual(await Deno.readFile(join(folder, wanted[1]!)), weights);
});

Deno.test("resolveRepo() asks file by file where a mirror lists only names", async () => {
  await using server = new HubServer({ files, bareListing: true });
  await using cache = await Cache.create();
  const { folder } = await open(server, cache);
  assert.equal(
    await Deno.readLink(join(folder, wanted[1]!)),
    join("..", "..", "..", "blobs", sha256(weights)),
  );
  assert.deepEqual(server.seen.filter(({ method }) => method === "HEAD").length, 2);
});

/** What huggingface_hub before 2026 leaves behind: refs, blobs and snapshots, no trees. */
async function writeAsPython(cache: Cache, at = commit): Promise<void> {
  await Deno.mkdir(cache.at("refs"), { recursive: true });
  await Deno.mkdir(cache.at("blobs"), { recursive: true });
  await Deno.mkdir(cache.at("snapshots", at, "unet"), { recursive: true });
  await Deno.writeTextFile(cache.at("refs", "main"), at);
  const config = new TextEncoder().encode(files["unet/config.json"]);
  for (
    const [name, etag, bytes] of [[wanted[0], gitSha1(config), config], [
      wanted[1],
      sha256(weights),
      weights,
    ]] as const
  ) {
    await Deno.writeFile(cache.at("blobs", etag), bytes);
    await Deno.symlink(join("..", "..", "..", "blobs", etag), cache.at("snapshots", at, name!));
  }
}
