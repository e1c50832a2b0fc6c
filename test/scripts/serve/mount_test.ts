import assert from "node:assert/strict";
import { Hono } from "hono";
import OpenAI from "openai";
import { createHandler, Drawer, LOOPBACK } from "denoise/serve";
import { Address } from "../../../scripts/serve/http/address.ts";
import { emoji } from "../../support/emoji.ts";

let drawer: Drawer;
Deno.test.beforeAll(async () => {
  drawer = await Drawer.open({ models: [{ name: "emoji", path: emoji }] });
});
Deno.test.afterAll(() => drawer[Symbol.asyncDispose]());

const params = { prompt: "a cat", size: "32x32", response_format: "url", steps: 1 } as const;

/** Draws with OpenAI's client, and fetches the picture. Returns its address. */
async function drawn(root: string): Promise<string> {
  const client = new OpenAI({ baseURL: `${root}/v1`, apiKey: "any", maxRetries: 0 });
  const [{ url }] = (await client.images.generate(params)).data as [{ url: string }];
  const picture = await fetch(url);
  assert.deepEqual([picture.status, picture.headers.get("content-type")], [200, "image/png"]);
  await picture.body!.cancel();
  return url;
}

Deno.test("a handler is mounted in a server of Hono's, at its root or below a path", async () => {
  const app = new Hono();
  app.get("/about", (context) => context.text("about"));
  const below = createHandler(drawer, { hosts: LOOPBACK, address: "/draw" });
  app.all("/draw", (context) => below(context.req.raw));
  app.all("/draw/*", (context) => below(context.req.raw));
  const handler = createHandler(drawer, { hosts: LOOPBACK });
  app.all("*", (context) => handler(context.req.raw));
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, app.fetch);
  const root = `http://127.0.0.1:${server.addr.port}`;
  const text = async (path: string) => await (await fetch(root + path)).text();

  assert.equal(await text("/about"), "about");
  assert.ok((await drawn(root)).startsWith(`${root}/pictures/`));
  assert.ok((await drawn(`${root}/draw`)).startsWith(`${root}/draw/pictures/`));
  const moved = await fetch(`${root}/draw`);
  assert.equal(moved.url, `${root}/draw/`); // to which the addresses in the page are relative
  const page = await moved.text();
  const files = [...page.matchAll(/(?:href|src)="([^":]+)"/g)].map(([, path]) => new URL(path!, moved.url));
  assert.ok(files.length >= 2);
  for (const { href } of files) {
    assert.ok(href.startsWith(`${root}/draw/page/`), href);
    const { status, body } = await fetch(href);
    await body!.cancel();
    assert.equal(status, 200, href);
  }
  const body = JSON.stringify({ prompt: "a cat", size: "32x32", steps: 1 });
  const headers = { "content-type": "application/json" };
  const begun = await fetch(`${root}/draw/v1/jobs`, { method: "POST", body, headers });
  const { id } = await begun.json();
  assert.equal(begun.headers.get("location"), `${root}/draw/v1/jobs/${id}`);
  assert.match(await text(`/draw/v1/jobs/${id}/events`), new RegExp(`"url":"${root}/draw/pictures/`));
});

Deno.test("behind a proxy a server answers for its public host, and with addresses there", async () => {
  const handler = createHandler(drawer, { hosts: LOOPBACK, address: "https://draw.example/one/" });
  const call = (url: string, headers: Record<string, string>) =>
    handler(
      new Request(url, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(params),
      }),
    );
  const path = "/v1/images/generations";
  const ways: [url: string, host: string][] = [
    [`http://draw.example/one${path}`, "draw.example"], // host and path passed on
    [`http://draw.example${path}`, "draw.example"], // the path taken away
    [`http://localhost:7860${path}`, "localhost:7860"], // neither
  ];
  for (const [url, host] of ways) {
    const response = await call(url, { host, origin: "https://draw.example" });
    assert.equal(response.status, 200, url);
    const { data: [{ url: at }] } = await response.json();
    assert.match(at, /^https:\/\/draw\.example\/one\/pictures\//);
  }
  assert.equal((await call(`http://evil.example${path}`, { host: "evil.example" })).status, 403);
  const other = { host: "draw.example", origin: "https://evil.example" };
  assert.equal((await call(`http://draw.example${path}`, other)).status, 403);
});

Deno.test("an address is a URL of the web, or a path", () => {
  for (const text of ["ftp://x", "draw", "", "https://a:b@c", "https://a/?b", "https://"]) {
    assert.throws(
      () => new Address(text),
      /^TypeError: Cannot take the address [^\n]*: expected https:\/\/HOST/,
    );
  }
  const { base, origin } = new Address("http://example.org:8080/a/b//");
  assert.deepEqual([base, origin], ["/a/b", "http://example.org:8080"]);
});
