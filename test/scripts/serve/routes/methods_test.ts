import assert from "node:assert/strict";
import { createHandler, Drawer, LOOPBACK } from "denoise/serve";
import { emoji } from "../../../support/emoji.ts";

let drawer: Drawer;
Deno.test.beforeAll(async () => {
  drawer = await Drawer.open({ models: [{ name: "emoji", path: emoji }] });
});
Deno.test.afterAll(() => drawer[Symbol.asyncDispose]());

const headers = { host: "localhost" };
const ask = (method: string, path: string, more: Record<string, string> = {}, key?: string) =>
  createHandler(drawer, { hosts: LOOPBACK, key })(
    new Request(`http://localhost${path}`, { method, headers: { ...headers, ...more } }),
  );

const pages = "Cannot answer a page of another site: call from a program, or from here";
const wrong = "Cannot PUT";
/** Paths with the methods that they take. */
const known: Record<string, string> = {
  "/": "GET, HEAD, OPTIONS",
  "/page/main.ts": "GET, HEAD, OPTIONS",
  "/metrics": "GET, HEAD, OPTIONS",
  "/v1/models": "GET, HEAD, OPTIONS",
  "/v1/models/owner/name": "GET, HEAD, OPTIONS",
  "/v1/images/generations": "POST, OPTIONS",
  "/v1/jobs": "POST, OPTIONS",
  "/v1/jobs/some-name": "GET, DELETE, HEAD, OPTIONS",
  "/sdapi/v1/txt2img": "POST, OPTIONS",
  "/sdapi/v1/options": "GET, POST, HEAD, OPTIONS",
};
for (const [path, allow] of Object.entries(known)) {
  Deno.test(`another method than ${path} takes is refused, and OPTIONS tells them`, async () => {
    const refused = await ask("PUT", path);
    assert.deepEqual([refused.status, refused.headers.get("allow")], [405, allow]);
    const text = await refused.text();
    const sentence = `${wrong} ${path}: expected ${allow.replaceAll(", ", " or ")}`;
    if (path.startsWith("/v1/")) assert.equal(JSON.parse(text).error.message, sentence);
    else if (path.startsWith("/sdapi/")) assert.equal(JSON.parse(text).detail, sentence);
    else assert.equal(text, sentence);

    const told = await ask("OPTIONS", path);
    assert.deepEqual([told.status, told.headers.get("allow"), told.body], [204, allow, null]);
    assert.deepEqual([...told.headers.keys()].filter((name) => name.startsWith("access-control")), []);
    const asked = await ask("OPTIONS", path, { "origin": "http://evil.example" });
    assert.equal(asked.status, 403);
    assert.ok((await asked.text()).includes(pages));
  });
}

Deno.test("HEAD is answered as GET, without a body", async () => {
  for (const path of ["/", "/healthz", "/openapi.json", "/v1/models", "/sdapi/v1/samplers", "/metrics"]) {
    const [head, get] = [await ask("HEAD", path), await ask("GET", path)];
    assert.deepEqual([head.status, head.headers.get("content-type")], [200, get.headers.get("content-type")]);
    assert.equal(await head.text(), "");
    await get.body?.cancel();
  }
});

Deno.test("a path that is not there is told in the form of the API that it would be of", async () => {
  const text = async (path: string) => {
    const response = await ask("POST", path);
    assert.deepEqual([response.status, response.headers.get("allow")], [404, null]);
    return await response.text();
  };
  assert.equal(JSON.parse(await text("/v1/audio")).error.message, "Cannot find /v1/audio: no such path");
  assert.equal(JSON.parse(await text("/sdapi/v1/x")).detail, "Cannot find /sdapi/v1/x: no such path");
  assert.equal(await text("/v2"), "Cannot find /v2: no such path");
});

Deno.test("without the key nobody learns what a path takes", async () => {
  for (const path of ["/v1/models", "/v1/nothing"]) {
    for (const method of ["PUT", "OPTIONS"]) {
      const { status, headers } = await ask(method, path, {}, "secret");
      assert.deepEqual([status, headers.get("allow")], [401, null]);
    }
  }
});
