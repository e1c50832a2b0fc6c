import assert from "node:assert/strict";
import { join } from "node:path";
import { HubServer } from "../io/hub/hub_server.ts";

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
    args: ["run", "--no-prompt", ...flags, ...args],
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
