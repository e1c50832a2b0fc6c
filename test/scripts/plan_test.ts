import assert from "node:assert/strict";
import { gitSha1 } from "../io/hub/hub_server.ts";
import { fluxDevHeaders, fluxDevTexts } from "../support/flux_dev.ts";
import { inFolder, runScript, runScriptWith } from "../support/script.ts";

const commit = "c0ffee00".repeat(5);

Deno.test("generate.ts --plan prints the plan for FLUX.1-dev from the hub's headers, and fetches no weights", async () => {
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
    const bytes = new Uint8Array(to! + 1 - from!); // zeros behind the header
    bytes.set(file.header.subarray(from, to! + 1));
    sent += bytes.length;
    const range = `bytes ${from}-${to}/${file.size}`;
    return new Response(bytes, { status: 206, headers: { "content-range": range } });
  };
  await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, answer);
  await inFolder(async (folder) => {
    const { code, stdout, stderr } = await runScriptWith(
      { HF_ENDPOINT: `http://127.0.0.1:${server.addr.port}`, HF_HUB_CACHE: folder, HF_HUB_OFFLINE: "" },
      folder,
      "generate.ts",
      ...["--plan", "--model", "black-forest-labs/FLUX.1-dev", "--memory", "16G", "--dtype", "f16"],
    );
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^black-forest-labs\/FLUX.1-dev on .* in 16.00 GB:\n/);
    assert.match(stdout, /\ntransformer +47.61 +23.80 +12.\d\d +6.\d\d +\d.\d\d +13.\d\d int8\n/);
    assert.match(stdout, /\nRuns with one model at a time, transformer in int8: at most 13.\d\d GB\n$/);
    assert.ok(sent < 3e6, `${sent} bytes`);
  });
});

Deno.test("generate.ts refuses what a plan cannot show", () =>
  inFolder(async (folder) => {
    const { code, stderr } = await runScript(folder, "generate.ts", "--plan", "--quantize", "int8");
    assert.equal(code, 1);
    assert.equal(stderr, "Cannot take --quantize with --plan: the plan shows every way; leave it out\n");
  }));

function blobOf(text: string): { size: number; blobId: string } {
  const bytes = new TextEncoder().encode(text);
  return { size: bytes.length, blobId: gitSha1(bytes) };
}
