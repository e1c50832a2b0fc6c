import assert from "node:assert/strict";
import { Cache, commit, files, HubServer, open, repo, wanted, weights } from "./hub_fixture.ts";
import { cut, gitSha1, type HubOptions, refuse, sha256 } from "./hub_server.ts";

const blobPath = `/blob/${wanted[1]}`;
const half = 100_000;

/** A hub whose CDN drops the first connection half way and answers the next request with `then`. */
function dropsOnce(then: HubOptions["fault"] = () => undefined): HubServer {
  const fault: HubOptions["fault"] = (request, path, count) => {
    if (path !== blobPath) return undefined;
    return count === 0 ? cut(weights, 0, half) : then(request, path, count);
  };
  return new HubServer({ files, fault });
}

async function expectWhole(cache: Cache): Promise<void> {
  assert.deepEqual(await Deno.readFile(cache.at("snapshots", commit, wanted[1]!)), weights);
  assert.deepEqual(await cache.partials(), []);
}

async function expectNothing(cache: Cache): Promise<void> {
  await assert.rejects(Deno.lstat(cache.at("snapshots", commit, wanted[1]!)), Deno.errors.NotFound);
  await assert.rejects(Deno.lstat(cache.at("blobs", sha256(weights))), Deno.errors.NotFound);
  await assert.rejects(Deno.lstat(cache.at("refs", "main")), Deno.errors.NotFound);
}

Deno.test("a download goes on where its connection was cut", async () => {
  await using server = dropsOnce();
  await using cache = await Cache.create();
  await open(server, cache);
  await expectWhole(cache);
  assert.deepEqual(server.requests(blobPath).map(({ range }) => range), [null, `bytes=${half}-`]);
});

Deno.test("a later run goes on where an earlier one gave up", async () => {
  await using cache = await Cache.create();
  const fault: HubOptions["fault"] = (_, path, count) => {
    if (path !== blobPath) return undefined;
    return count === 0 ? cut(weights, 0, half) : new Response(null, { status: 503 });
  };
  {
    await using server = new HubServer({ files, fault });
    const message = `Cannot download ${
      wanted[1]
    } of ${repo}: status 503; the server has trouble: try again later; another run goes on where it stopped`;
    await assert.rejects(open(server, cache), { message });
    await expectNothing(cache);
    assert.equal((await cache.partials()).length, 1);
  }
  await using server = new HubServer({ files });
  await open(server, cache);
  await expectWhole(cache);
  assert.deepEqual(server.requests(blobPath).map(({ range }) => range), [`bytes=${half}-`]);
});

Deno.test("a download starts over when a Range request brings the whole file", async () => {
  await using server = dropsOnce(() => new Response(weights));
  await using cache = await Cache.create();
  await open(server, cache);
  await expectWhole(cache);
  assert.equal(server.requests(blobPath).length, 2);
});

Deno.test("a download starts over when the server has no such range", async () => {
  await using server = dropsOnce((_, __, count) =>
    count === 1 ? new Response(null, { status: 416 }) : undefined
  );
  await using cache = await Cache.create();
  await open(server, cache);
  await expectWhole(cache);
  assert.deepEqual(server.requests(blobPath).map(({ range }) => range), [null, `bytes=${half}-`, null]);
});

Deno.test("a download starts over when the server sends another range", async () => {
  const other = () =>
    new Response(weights.subarray(50), {
      status: 206,
      headers: { "content-range": `bytes 50-${weights.length - 1}/${weights.length}` },
    });
  await using server = dropsOnce((_, __, count) => count === 1 ? other() : undefined);
  await using cache = await Cache.create();
  await open(server, cache);
  await expectWhole(cache);
});

Deno.test("a leftover with wrong bytes is thrown away", async () => {
  await using server = new HubServer({ files });
  await using cache = await Cache.create();
  await Deno.mkdir(cache.at("blobs"), { recursive: true });
  await Deno.writeFile(cache.at("blobs", `${sha256(weights)}.12345678.partial`), new Uint8Array(1000));
  await open(server, cache);
  await expectWhole(cache);
  assert.deepEqual(server.requests(blobPath).map(({ range }) => range), ["bytes=1000-", null]);
});

Deno.test("a large file with the wrong sha256 is refused and removed", async () => {
  const wrong = new Uint8Array(weights);
  wrong[77]! ^= 1;
  await using server = new HubServer({
    files,
    fault: (_, path) => path === blobPath ? new Response(wrong) : undefined,
  });
  await using cache = await Cache.create();
  await assert.rejects(open(server, cache), {
    message: `Cannot trust ${wanted[1]} of ${repo}: expected checksum ${sha256(weights)}, got ${
      sha256(wrong)
    }; run again`,
  });
  await expectNothing(cache);
  assert.deepEqual(await cache.partials(), []);
});

Deno.test("a small file with the wrong git hash is refused and removed", async () => {
  const wrong = new TextEncoder().encode('{"sample_size": 9}');
  await using server = new HubServer({
    files,
    fault: (_, path) => path.endsWith("config.json") ? new Response(wrong) : undefined,
  });
  await using cache = await Cache.create();
  await assert.rejects(open(server, cache), {
    message: new RegExp(`^Cannot trust .*, got ${gitSha1(wrong)}`),
  });
  assert.deepEqual(await cache.partials(), []);
});

for (const [size, got] of [[weights.length + 9, weights.length], [weights.length - 9, "more"]] as const) {
  Deno.test(`a file of ${weights.length} bytes where ${size} are promised is refused`, async () => {
    const lie = (name: string) => name === wanted[1] ? { size } : {};
    await using server = new HubServer({ files, lie });
    await using cache = await Cache.create();
    await assert.rejects(open(server, cache), {
      message: new RegExp(`^Cannot download .*: expected ${size} bytes, got ${got}`),
    });
    await expectNothing(cache);
    assert.ok(server.requests(blobPath).length <= 5);
  });
}

const refusals: [string, number, string, RegExp][] = [
  [
    "/api/",
    401,
    "RepoNotFound",
    /^Cannot open owner\/tiny: no such public repository at .*; check the name, set HF_TOKEN/,
  ],
  ["/api/", 403, "", /^Cannot open owner\/tiny: no such public repository/],
  [
    "/api/",
    404,
    "RepoNotFound",
    /^Cannot open owner\/tiny: no such repository at .*, nor a folder of this name here$/,
  ],
  [
    "/api/",
    404,
    "RevisionNotFound",
    /^Cannot open owner\/tiny: no revision "main"; see .*\/owner\/tiny\/tree\/main$/,
  ],
  [
    "/resolve/",
    401,
    "GatedRepo",
    /^Cannot download .* of owner\/tiny: it is gated; accept its licence at .*\/owner\/tiny and set HF_TOKEN$/,
  ],
  ["/resolve/", 403, "GatedRepo", /^Cannot download .* of owner\/tiny: it is gated; accept its licence at /],
  [
    "/resolve/",
    404,
    "EntryNotFound",
    /^Cannot download unet\/config.json of owner\/tiny: no such file at revision c0ffee/,
  ],
  [
    "/resolve/",
    400,
    "",
    /^Cannot download unet\/config.json of owner\/tiny: expected status 200, got 400; see /,
  ],
];
for (const [where, status, code, message] of refusals) {
  Deno.test(`a ${status} ${code} under ${where} is explained in one line, asked once`, async () => {
    await using server = new HubServer({
      files,
      fault: (_, path) => path.includes(where) ? refuse(status, code) : undefined,
    });
    await using cache = await Cache.create();
    await assert.rejects(open(server, cache), { message });
    assert.equal(server.requests(where).length, 1);
    await expectNothing(cache);
  });
}

Deno.test("a refused token is named as the reason", async () => {
  await using server = new HubServer({ files, fault: () => refuse(401, "") });
  await using cache = await Cache.create();
  await assert.rejects(open(server, cache, { token: "hf_old" }), {
    message: /HF_TOKEN was refused \(401\); renew it$/,
  });
});

Deno.test("an unknown revision is told from an unknown repository", async () => {
  await using server = new HubServer({ files });
  await using cache = await Cache.create();
  await assert.rejects(open(server, cache, { revision: "fp16" }), { message: /no revision "fp16"; see/ });
  await assert.rejects(open(server, cache, { name: "owner/tinny" }), { message: /no such repository at/ });
});

Deno.test("a file that the repository lacks is named with its nearest neighbour", async () => {
  await using server = new HubServer({ files });
  await using cache = await Cache.create();
  await assert.rejects(open(server, cache, { files: () => ["unet/confg.json"] }), {
    message:
      `Cannot download unet/confg.json of ${repo}: no such file at this revision; nearest is unet/config.json`,
  });
});

Deno.test("a 500 is tried again, and given up after five tries", async () => {
  await using cache = await Cache.create();
  const fails = (times: number): HubOptions["fault"] => (_, path, count) =>
    path.includes("/api/") && count < times ? new Response(null, { status: 500 }) : undefined;
  await using broken = new HubServer({ files, fault: fails(5) });
  await assert.rejects(open(broken, cache), {
    message: /^Cannot open owner\/tiny: status 500, and no revision "main" in/,
  });
  assert.equal(broken.seen.length, 5);
  await using recovering = new HubServer({ files, fault: fails(4) });
  await open(recovering, cache);
  await expectWhole(cache);
});

Deno.test("a 429 is waited out for as long as it asks, but not for an hour", async () => {
  await using cache = await Cache.create();
  const busy = (seconds: string): HubOptions["fault"] => (_, path, count) =>
    path.includes("/api/") && count === 0
      ? new Response(null, { status: 429, headers: { "retry-after": seconds } })
      : undefined;
  await using long = new HubServer({ files, fault: busy("3600") });
  await assert.rejects(open(long, cache), {
    message: /: status 429, which asks to wait 3600 s, and no revision/,
  });
  await using short = new HubServer({ files, fault: busy("1") });
  const start = performance.now();
  await open(short, cache);
  assert.ok(performance.now() - start > 990);
});

Deno.test("a silent server is given up", async () => {
  const { promise: never, resolve } = Promise.withResolvers<Response>();
  await using server = new HubServer({ files, fault: (_, path) => path === blobPath ? never : undefined });
  using stack = new DisposableStack();
  stack.defer(() => resolve(new Response())); // the server waits for its answers when it ends
  await using cache = await Cache.create();
  await assert.rejects(open(server, cache, { env: { HF_HUB_DOWNLOAD_TIMEOUT: "0.5" } }), {
    message:
      /^Cannot download .*: no answer within 0\.5 s; check the network, or set HF_HUB_DOWNLOAD_TIMEOUT/,
  });
});

Deno.test("the token goes to the hub and not to where it redirects", async () => {
  await using server = new HubServer({ files });
  await using cache = await Cache.create();
  await open(server, cache, { token: "hf_secret" });
  const hub = server.seen.filter(({ path }) => !path.startsWith("/blob/"));
  assert.deepEqual(hub.map(({ authorization }) => authorization), hub.map(() => "Bearer hf_secret"));
  assert.deepEqual(server.requests("/blob/").map(({ authorization }) => authorization), [null]);
});

Deno.test("a renamed repository is found through a relative redirect, with the token", async () => {
  const fault: HubOptions["fault"] = (_, path) =>
    path.includes("owner/old")
      ? new Response(null, { status: 307, headers: { location: path.replace("owner/old", repo) } })
      : undefined;
  await using server = new HubServer({ files, fault });
  await using cache = await Cache.create();
  assert.equal((await open(server, cache, { name: "owner/old", token: "hf_secret" })).commit, commit);
  assert.ok(server.requests("/api/").every(({ authorization }) => authorization === "Bearer hf_secret"));
});

Deno.test("a redirect loop ends", async () => {
  await using server = new HubServer({ files, fault: (request) => Response.redirect(request.url) });
  await using cache = await Cache.create();
  await assert.rejects(open(server, cache), {
    message: /expected a file, got more than 10 redirects; check HF_ENDPOINT$/,
  });
  assert.equal(server.seen.length, 11);
});

for (const location of ["file:///etc/passwd", "data:text/plain,x", "http://"]) {
  Deno.test(`a redirect to ${location} is refused`, async () => {
    await using server = new HubServer({
      files,
      fault: (_, path) =>
        path === blobPath ? new Response(null, { status: 302, headers: { location } }) : undefined,
    });
    await using cache = await Cache.create();
    await assert.rejects(open(server, cache), {
      message: /^Cannot follow the redirect of .*: expected https, got /,
    });
    await expectNothing(cache);
  });
}

for (const name of ["../evil", "unet/../../evil", "/etc/evil", "a\\..\\evil", "C:evil", "a//b", "a/./b"]) {
  Deno.test(`a listing that holds ${name} is refused`, async () => {
    await using server = new HubServer({ files: { ...files, [name]: "x" } });
    await using cache = await Cache.create();
    await assert.rejects(open(server, cache), {
      message: `Cannot use ${repo}: expected file names inside the repository, got ${JSON.stringify(name)}`,
    });
    assert.equal(server.seen.length, 1);
  });
}

Deno.test("an index whose shards lie outside the repository is refused", async () => {
  const index = JSON.stringify({ weight_map: { a: "../../evil" } });
  await using server = new HubServer({
    files: { "unet/config.json": "{}", "unet/model.safetensors.index.json": index },
  });
  await using cache = await Cache.create();
  await assert.rejects(open(server, cache), {
    message: /expected the file of "a" to lie in its folder, got "..\/..\/evil"/,
  });
});

Deno.test("an abort ends the download and keeps what has arrived", async () => {
  await using server = new HubServer({
    files,
    fault: (_, path, count) => path === blobPath && count === 0 ? cut(weights, 0, half) : undefined,
  });
  await using cache = await Cache.create();
  const controller = new AbortController();
  const onProgress = ({ file }: { file: string }) => {
    if (file === wanted[1]) controller.abort(new Error("enough"));
  };
  await assert.rejects(open(server, cache, { signal: controller.signal, onProgress }), { message: "enough" });
  await expectNothing(cache);
  assert.equal((await cache.partials()).length, 1);

  const before = server.seen.length;
  await assert.rejects(open(server, cache, { signal: controller.signal }), { message: "enough" });
  assert.equal(server.seen.length, before);
  await open(server, cache);
  await expectWhole(cache);
  assert.match(server.requests(blobPath)[1]!.range!, /^bytes=[1-9]/);
});

Deno.test("a page that answers in a file's place, or the listing's, is told at once", async () => {
  const page = () =>
    new Response("<html>Welcome to the hotel", { headers: { "content-type": "text/html; charset=utf-8" } });
  await using cache = await Cache.create();
  await using files_ = new HubServer({
    files,
    fault: (_, path) => path.includes("/resolve/") ? page() : undefined,
  });
  await assert.rejects(open(files_, cache), {
    message:
      /^Cannot download [^ ]+ of owner\/tiny: expected the file, got a page of HTML; open http.*sign-in page/,
  });
  assert.equal(files_.requests("/resolve/").length, 1);
  await using listing = new HubServer({ files, fault: page });
  await assert.rejects(open(listing, cache), {
    message: /expected a listing from .*sign-in page may answer/,
  });
  assert.equal(listing.seen.length, 1);
});
