import assert from "node:assert/strict";
import { until } from "../../support/until.ts";
import { Cache, child, commit, files, HubServer, open, wanted, weights } from "./hub_fixture.ts";
import { type HubOptions, sha256 } from "./hub_server.ts";

const blobPath = `/blob/${wanted[1]}`;
const PART = 60_003;

/** Sends the weights in ten pieces, so that there is time for something to happen. */
const slowly: HubOptions["fault"] = (request, path) => {
  if (path !== blobPath || request.headers.has("range")) return undefined;
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (sent >= weights.length) return controller.close();
      controller.enqueue(weights.subarray(sent, sent += 20_001));
      await new Promise((resolve) => setTimeout(resolve, 100));
    },
  });
  return new Response(body, { headers: { "content-length": `${weights.length}` } });
};

/** Sends a part of the weights to whoever asks first, and the rest once that is let go. */
function holding(): { fault: HubOptions["fault"]; letGo: () => void } {
  const { promise: rest, resolve: letGo } = Promise.withResolvers<void>();
  const fault: HubOptions["fault"] = (_, path, count) => {
    if (path !== blobPath || count > 0) return undefined;
    const body = new ReadableStream<Uint8Array>({
      async start(controller) {
        controller.enqueue(weights.subarray(0, PART));
        await rest;
        controller.enqueue(weights.subarray(PART));
        controller.close();
      },
    });
    return new Response(body, { headers: { "content-length": `${weights.length}` } });
  };
  return { fault, letGo };
}

async function expectOneBlob(cache: Cache): Promise<void> {
  assert.deepEqual(await Deno.readFile(cache.at("snapshots", commit, wanted[1]!)), weights);
  const blobs = await Array.fromAsync(Deno.readDir(cache.at("blobs")), ({ name }) => name);
  assert.equal(blobs.length, 2);
  assert.ok(blobs.includes(sha256(weights)));
}

Deno.test("two processes that want the same file both get it, in one blob", async () => {
  await using server = new HubServer({ files, fault: slowly });
  await using cache = await Cache.create();
  const runs = await Promise.all([1, 2].map(() => new Deno.Command(...child(server, cache)).output()));
  for (const { code, stdout } of runs) {
    assert.equal(new TextDecoder().decode(stdout).trim(), cache.at("snapshots", commit));
    assert.equal(code, 0);
  }
  await expectOneBlob(cache);
});

Deno.test("a second process waits for the first instead of fetching the same file", async () => {
  const { fault, letGo } = holding();
  await using server = new HubServer({ files, fault });
  await using cache = await Cache.create();
  const first = new Deno.Command(...child(server, cache)).spawn();
  await until(() => server.requests(blobPath).length === 1);
  const toldOf = new Set<number>();
  await open(server, cache, {
    onProgress: ({ loaded, done }) => {
      if (!done) toldOf.add(loaded);
      if (loaded >= PART) letGo();
    },
  });
  const { code } = await first.output();
  assert.equal(code, 0);
  await expectOneBlob(cache);
  assert.equal(server.requests(blobPath).length, 1);
  assert.ok(toldOf.has(PART), `${[...toldOf]}`); // it tells how far the other is
});

Deno.test("two calls in one process share a download", async () => {
  await using server = new HubServer({ files, fault: slowly });
  await using cache = await Cache.create();
  const first = open(server, cache);
  await until(() => server.requests(blobPath).length === 1);
  await Promise.all([first, open(server, cache)]);
  await expectOneBlob(cache);
  assert.equal(server.requests(blobPath).length, 1);
});

Deno.test("a run goes on where a killed one stopped, at once", async () => {
  const { fault, letGo } = holding();
  await using server = new HubServer({ files, fault });
  await using cache = await Cache.create();
  const killed = new Deno.Command(...child(server, cache)).spawn();
  await until(async () => {
    const [name] = await cache.partials().catch(() => []);
    if (name === undefined) return false;
    const { size } = await Deno.stat(cache.at("blobs", name)).catch(() => ({ size: 0 })); // small files come and go
    return size === PART;
  });
  killed.kill("SIGKILL");
  await killed.output();
  letGo();
  await open(server, cache);
  await expectOneBlob(cache);
  assert.match(server.requests(blobPath)[1]!.range!, /^bytes=60003-$/);
});

Deno.test("a process that hangs is not waited for", async () => {
  const { fault, letGo } = holding();
  await using server = new HubServer({ files, fault });
  await using cache = await Cache.create();
  const hung = new Deno.Command(...child(server, cache)).spawn();
  await until(() => server.requests(blobPath).length === 1);
  hung.kill("SIGSTOP");
  await open(server, cache, { env: { HF_HUB_DOWNLOAD_TIMEOUT: "2" } });
  assert.equal(server.requests(blobPath).length, 2);
  hung.kill("SIGCONT");
  letGo();
  assert.equal((await hung.output()).code, 0);
  await expectOneBlob(cache);
});

Deno.test("files are linked hard where symbolic links are refused", async () => {
  await using server = new HubServer({ files });
  await using cache = await Cache.create();
  const flags = ["--allow-net=127.0.0.1", "--allow-env", "--allow-read", `--allow-write=${cache.path}`];
  const { code } = await new Deno.Command(...child(server, cache, flags)).output();
  assert.equal(code, 0);
  const pointer = cache.at("snapshots", commit, wanted[1]!);
  assert.ok((await Deno.lstat(pointer)).isFile);
  assert.equal((await Deno.lstat(pointer)).nlink, 2);
  await open(server, cache, { localFilesOnly: true });
});

Deno.test("a folder in place of a file is named", async () => {
  await using server = new HubServer({ files });
  await using cache = await Cache.create();
  const pointer = cache.at("snapshots", commit, wanted[1]!);
  await Deno.mkdir(pointer, { recursive: true });
  await assert.rejects(open(server, cache), {
    message: `Cannot use ${pointer}: expected a file, got a folder; remove it`,
  });
});

Deno.test("a file in place of the cache folder is named", async () => {
  await using server = new HubServer({ files });
  await using cache = await Cache.create();
  await Deno.writeTextFile(cache.at(), "");
  await assert.rejects(open(server, cache), {
    message: /^Cannot write .*: expected a folder above it, got a file; move/,
  });
});

const canMount = Deno.build.os === "linux" &&
  (await new Deno.Command("unshare", { args: ["-rm", "mount", "-t", "tmpfs", "none", "/mnt"] }).output()
    .catch(() => ({ success: false }))).success;

for (
  const [options, advice] of [
    ["size=150k", "the disk is full; free some space or set HF_HUB_CACHE to another folder"],
    ["ro", "the disk is read-only; set HF_HUB_CACHE to a folder that may be written"],
  ]
) {
  Deno.test(`a disk mounted with ${options} is explained and left clean`, { ignore: !canMount }, async () => {
    await using server = new HubServer({ files });
    await using cache = await Cache.create();
    const [deno, { args, ...rest }] = child(server, cache);
    const command = `mount -t tmpfs -o ${options} none "$HF_HUB_CACHE" && { "$@"; ls -R "$HF_HUB_CACHE"; }`;
    const shell = ["-rm", "sh", "-c", command, "sh", deno, ...args!];
    const { stdout } = await new Deno.Command("unshare", { args: shell, ...rest }).output();
    const [message, ...left] = new TextDecoder().decode(stdout).split("\n") as [string, ...string[]];
    assert.match(message, /^Cannot write /);
    assert.ok(message.endsWith(advice!), message);
    assert.ok(!left.join().includes("partial"), left.join("\n"));
  });
}

Deno.test("a read-only cache that holds everything is enough", { ignore: !canMount }, async () => {
  await using server = new HubServer({ files });
  await using cache = await Cache.create();
  await open(server, cache);
  await Deno.writeTextFile(cache.at("refs", "main"), "1".repeat(40)); // it would like to write this anew
  const [deno, { args, ...rest }] = child(server, cache);
  const command =
    `mount --bind -o ro "$HF_HUB_CACHE" "$HF_HUB_CACHE" && mount -o remount,ro,bind "$HF_HUB_CACHE" && "$@"`;
  const shell = ["-rm", "sh", "-c", command, "sh", deno, ...args!];
  const { stdout } = await new Deno.Command("unshare", { args: shell, ...rest }).output();
  assert.equal(new TextDecoder().decode(stdout).trim(), cache.at("snapshots", commit));
});
