import assert from "node:assert/strict";
import { join } from "node:path";
import { existsSync } from "node:fs";
import { HubServer } from "../io/hub/hub_server.ts";
import { freePort } from "../support/free_port.ts";
import { queueProgram, QueueServer } from "../support/queue_server.ts";

const root = join(import.meta.dirname!, "../..");
const readme = Deno.readTextFileSync(join(root, "README.md"));

/** The flags in the README's row for something. */
function flagsFor(row: string): string[] {
  const line = readme.split("\n").find((line) => line.startsWith(`| ${row} `));
  assert.ok(line, row);
  return [...line.matchAll(/--allow-[a-z]+(?:=[^\s`]+)?/g)].map(([flag]) => flag);
}

/** Runs a script in the clone with some permissions; nobody is asked for more. */
async function run(flags: string[], env: Record<string, string>, ...args: string[]) {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "--no-prompt", ...flags, ...args],
    cwd: root,
    env: { NO_COLOR: "1", HF_HUB_OFFLINE: "1", ...env },
    stdin: "null",
  }).output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}

const small = ["--steps", "1", "--size", "16x16", "--out", "out/permissions.png"];
const inClone = flagsFor("a model in the clone");
const scripts: Record<string, string[]> = {
  "generate.ts": small,
  "generate.ts on Deno's engine": [...small, "--engine", "deno"],
  "inspect.ts": ["models/emoji-diffusion"],
};
for (const [what, args] of Object.entries(scripts)) {
  Deno.test(`${what} runs with the permissions that the README says`, async () => {
    await Deno.mkdir(join(root, "out"), { recursive: true });
    const { code, stderr } = await run(inClone, {}, `scripts/${what.split(" ")[0]}`, ...args);
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /--allow-/);
  });
}

Deno.test("generate.ts needs each of these permissions, and says which it lacks", async () => {
  for (const flag of inClone.filter((flag) => flag !== "--allow-ffi")) { // without it Deno's own engine draws
    const { code, stderr } = await run(
      inClone.filter((other) => other !== flag),
      {},
      "scripts/generate.ts",
      ...small,
    );
    assert.equal(code, 1, flag);
    assert.ok(stderr.includes(flag.split("=")[0]!), stderr);
  }
  const outside = await run(inClone, {}, "scripts/generate.ts", "--out", join(root, "../denoise.png"));
  assert.equal(outside.code, 1);
  assert.match(outside.stderr, /--allow-read/);
  const unread = [...inClone.filter((flag) => !flag.startsWith("--allow-read")), "--allow-read=models"];
  const hidden = await run(unread, {}, "scripts/generate.ts", ...small);
  assert.match(
    hidden.stderr,
    /^Cannot take --out \S+: Deno may not; run with --allow-read and --allow-write of out\n$/,
  );
  assert.deepEqual([...Deno.readDirSync(join(root, "out"))].filter(({ name }) => name.endsWith(".tmp")), []);
  const blind = await run(["--allow-env"], {}, "scripts/inspect.ts", join(root, "models/emoji-ddpm"));
  assert.match(
    blind.stderr,
    /^Cannot open \S+emoji-ddpm: Deno may not read it; run with --allow-read=\S+\n$/,
  );
});

Deno.test("serve.ts draws with the permissions that the README says", async () => {
  const port = freePort();
  const flags = flagsFor("a server").map((flag) => flag.replace("7860", String(port)));
  const args = ["run", "-q", "--no-prompt", ...flags, "scripts/serve.ts", "--port", String(port)];
  const env = { NO_COLOR: "1", HF_HUB_OFFLINE: "1" };
  const server = new Deno.Command(Deno.execPath(), {
    ...{ args, env, cwd: root, stdin: "null", stdout: "piped", stderr: "piped" },
  }).spawn();
  const errors = new Response(server.stderr).text();
  const lines = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
  for (let said = ""; !/Listens at/.test(said);) {
    const { value, done } = await lines.read();
    if (done) assert.fail(await errors);
    said += value;
  }
  const response = await fetch(`http://127.0.0.1:${port}/v1/images/generations`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt: "a cat", size: "16x16", steps: 1, output_format: "webp" }),
  });
  assert.equal((await response.json()).data.length, 1);
  server.kill("SIGTERM");
  while (!(await lines.read()).done);
  assert.deepEqual([(await server.status).code, await errors], [0, ""]);
});

Deno.test({
  name: "submit.ts, worker.ts and fleet.ts run with the permissions that the README says",
  ignore: !queueProgram,
  fn: async () => {
    await using server = await QueueServer.start();
    const out = join(root, "out/permissions");
    await Deno.mkdir(out, { recursive: true });
    const lines = join(out, "lines.jsonl");
    await Deno.writeTextFile(lines, JSON.stringify({ prompt: "a cat", size: "16x16", steps: 1, seed: 1 }));
    const here = (row: string) =>
      flagsFor(row).map((flag) => flag.replace("HOST:6379", `127.0.0.1:${server.port}`));
    const queue = ["--queue", server.url()];
    const ended = async (flags: string[], ...args: string[]) => {
      const { code, stderr } = await run(flags, {}, ...args);
      assert.equal(code, 0, stderr);
      assert.doesNotMatch(stderr, /--allow-/);
    };
    const light = here("`submit` to a queue, `fleet`");
    await ended(light, "scripts/submit.ts", lines, ...queue);
    await ended(light, "scripts/fleet.ts", ...queue, "--once");
    await ended(inClone, "scripts/submit.ts", lines, "--out", join(out, "local"));
    const worker = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-q", "--no-prompt", ...here("a worker"), "scripts/worker.ts", ...queue],
        ...["--out", join(out, "fleet")],
      ],
      ...{ cwd: root, env: { NO_COLOR: "1" }, stdin: "null", stdout: "null", stderr: "piped" },
    }).spawn();
    const errors = new Response(worker.stderr).text();
    const ending = worker.status.then(() => true);
    const count = (folder: string) => [...Deno.readDirSync(join(out, folder))].filter(isPng).length;
    const isPng = ({ name }: Deno.DirEntry) => name.endsWith(".png");
    while (!existsSync(join(out, "fleet")) || count("fleet") === 0) {
      const isOver = await Promise.race([ending, new Promise((resolve) => setTimeout(resolve, 100))]);
      if (isOver) assert.fail(await errors);
    }
    worker.kill("SIGTERM");
    await ending;
    assert.doesNotMatch(await errors, /--allow-/);
    assert.deepEqual([count("local"), count("fleet")], [1, 1]);
    await Deno.remove(out, { recursive: true });
  },
});

Deno.test("a model of the hub needs what the README says, and only of its hosts", async () => {
  const cache = await Deno.makeTempDir();
  const flat = join(root, "test/fixtures/ddpm/legacy_flat_bin");
  const names = [...Deno.readDirSync(flat)].map(({ name }) => name);
  const files = Object.fromEntries(names.map((name) => [name, Deno.readFileSync(join(flat, name))]));
  await using server = new HubServer({ files });
  const hosts = [server.endpoint, server.cdn].map((address) => new URL(address).host).join();
  const hub = flagsFor("models of the hub").map((flag) =>
    flag.startsWith("--allow-net") ? `--allow-net=${hosts}` : flag.replace("$HOME/.cache/huggingface", cache)
  );
  const env = {
    HF_HUB_CACHE: cache,
    HF_HOME: cache,
    HF_ENDPOINT: server.endpoint,
    HF_HUB_OFFLINE: "",
    HF_TOKEN: "",
  };
  const script = ["scripts/ddpm.ts", "owner/tiny", "--steps", "1"];
  const { code, stderr } = await run([...inClone, ...hub], env, ...script);
  assert.equal(code, 0, stderr);
  await Deno.remove(join(root, "ddpm.png"));
  await Deno.remove(cache, { recursive: true });
});
