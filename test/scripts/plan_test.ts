import assert from "node:assert/strict";
import { join } from "node:path";
import { gitSha1 } from "../io/hub_server.ts";
import { fluxDevHeaders, fluxDevTexts } from "../support/flux_dev.ts";

const root = join(import.meta.dirname!, "../..");
const commit = "c0ffee00".repeat(5);

Deno.test("generate.ts --plan prints the plan for FLUX.1-dev from the hub's headers, and fetches no weights", async () => {
  const cache = await Deno.makeTempDir();
  const [texts, headers] = [await fluxDevTexts(), fluxDevHeaders()];
  let sent = 0;
  const answer = (request: Request): Response => {
    const name = new URL(request.url).pathname.split(`/resolve/${commit}/`)[1];
    if (!name) {
      const small = [...texts].map(([rfilename, text]) => ({ rfilename, ...blobOf(text) }));
      const large = [...headers].map(([rfilename, { size }]) => ({ rfilename, size }));
      return Response.json({ sha: commit, siblings: [...small, ...large] });
    }
    const file = headers.get(name);
    if (!file) return new Response(texts.get(name));
    const [, from, to] = request.headers.get("range")!.match(/^bytes=(\d+)-(\d+)$/)!.map(Number);
    const bytes = new Uint8Array(to + 1 - from); // zeros behind the header
    bytes.set(file.header.subarray(from, to + 1));
    sent += bytes.length;
    const range = `bytes ${from}-${to}/${file.size}`;
    return new Response(bytes, { status: 206, headers: { "content-range": range } });
  };
  await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, answer);
  try {
    const { code, out, err } = await generate(
      { HF_ENDPOINT: `http://127.0.0.1:${server.addr.port}`, HF_HUB_CACHE: cache },
      ...["--plan", "--model", "black-forest-labs/FLUX.1-dev", "--memory", "16G", "--dtype", "f16"],
    );
    assert.equal(code, 0, err);
    assert.match(out, /^black-forest-labs\/FLUX.1-dev on .* in 16.00 GB:\n/);
    assert.match(out, /\ntransformer +47.61 +23.80 +12.\d\d +6.\d\d +\d.\d\d +13.\d\d int8\n/);
    assert.match(out, /\nRuns with one model at a time, transformer in int8: at most 13.\d\d GB\n$/);
    assert.ok(sent < 3e6, `${sent} bytes`);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
});

Deno.test("generate.ts refuses a budget without its unit in one line", async () => {
  const { code, err } = await generate({}, "--plan", "--memory", "8");
  assert.equal(code, 1);
  assert.match(err, /Cannot take --memory 8: a number of GB or MB, e.g. 8G\n$/);
});

function blobOf(text: string): { size: number; blobId: string } {
  const bytes = new TextEncoder().encode(text);
  return { size: bytes.length, blobId: gitSha1(bytes) };
}

async function generate(
  env: Record<string, string>,
  ...args: string[]
): Promise<{ code: number; out: string; err: string }> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "scripts/generate.ts", ...args],
    cwd: root,
    env: { ...env, NO_COLOR: "1" },
    stdin: "null",
  });
  const { code, stdout, stderr } = await command.output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, out, err };
}
