import assert from "node:assert/strict";
import { Drawer } from "denoise/serve";
import { emoji } from "../../support/emoji.ts";
import { Endings } from "../../support/endings.ts";
import { inject } from "../../support/faults.ts";
import { Served } from "../../support/served.ts";
import { until } from "../../support/until.ts";

const flower = { prompt: "a nice flower", size: "32x32", steps: 4, seed: 3 };
const long = { ...flower, steps: 150, n: 10 };

let drawer: Drawer;
let served: Served;
Deno.test.beforeAll(async () => {
  drawer = await Drawer.open({ models: [{ name: "emoji", path: emoji }], limits: { waiting: 1 } });
  served = new Served(drawer, { body: 2000 });
});
Deno.test.afterAll(async () => {
  await served[Symbol.asyncDispose]();
  await drawer[Symbol.asyncDispose]();
});

const draw = (params: object) => served.call("POST", "/v1/images/generations", params);

/** A connection on which a client writes what it likes. */
class Wire implements Disposable {
  readonly #connection: Promise<Deno.TcpConn>;

  constructor({ address } = served) {
    this.#connection = Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(address).port) });
  }

  async send(text: string): Promise<void> {
    const writer = (await this.#connection).writable.getWriter();
    await writer.write(new TextEncoder().encode(text));
    writer.releaseLock();
  }

  /** The answer's status and the text after it, up to where the text contains something. */
  async answer(until: string): Promise<{ status: number; text: string }> {
    let text = "";
    const decoder = new TextDecoder();
    const part = new Uint8Array(10_000);
    while (!text.includes(until)) {
      const count = await (await this.#connection).read(part);
      assert.ok(count !== null, `closed after ${text}`);
      text += decoder.decode(part.subarray(0, count));
    }
    return { status: Number(text.split(" ")[1]), text };
  }

  async close(): Promise<void> {
    (await this.#connection).close();
  }

  [Symbol.dispose](): void {
    this.close().catch(() => {}); // it may be closed
  }
}

const head = (more: string, path = "/v1/images/generations") =>
  `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${more}\r\n\r\n`;

Deno.test("a device that is lost in mid picture costs its client nothing but time", async () => {
  const want = (await draw(flower)).json.data[0].b64_json;
  {
    using _ = inject(drawer.device, { submission: 4 });
    const { status, json } = await draw(flower);
    assert.equal(status, 200);
    assert.equal(json.data[0].b64_json, want);
  }
  const metrics = await (await fetch(`${served.address}/metrics`)).text();
  assert.match(metrics, /^denoise_device_lost_total 1$/m);
  assert.equal((await draw(flower)).json.data[0].b64_json, want);
});

Deno.test("a stream of pictures tells each once, though a device is lost after the first", async () => {
  const lost = async () => {
    const text = await (await fetch(`${served.address}/metrics`)).text();
    return Number(/^denoise_device_lost_total (\d+)$/m.exec(text)![1]);
  };
  const want = (await draw({ ...flower, n: 2 })).json.data.map((one: { b64_json: string }) => one.b64_json);
  const before = await lost();
  using _ = inject(drawer.device, { submission: 14 });
  const response = await fetch(`${served.address}/v1/images/generations`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...flower, n: 2, stream: true }),
  });
  const told = [...(await response.text()).matchAll(/^event: (.*)\ndata: (.*)$/gm)];
  assert.deepEqual(told.map(([, event]) => event), Array(2).fill("image_generation.completed"));
  assert.deepEqual(told.map(([, , data]) => JSON.parse(data!).b64_json), want);
  assert.equal(await lost(), before + 1);
});

Deno.test("work for a client whose connection breaks stops, whether it is drawn or waits", async () => {
  using endings = new Endings(drawer);
  const body = JSON.stringify(long);
  using first = new Wire();
  await first.send(head(`Content-Length: ${body.length}`) + body);
  await until(() => drawer.busy);
  using second = new Wire();
  await second.send(head(`Content-Length: ${body.length}`) + body);
  await until(() => drawer.waiting > 0);
  await second.close();
  await until(() => drawer.waiting === 0);
  assert.ok(drawer.busy); // still with the first
  await first.close();
  await endings.expectStopped(2);
});

Deno.test("a body that is too large is refused by its length, before it comes, and without one, as it comes", async () => {
  using told = new Wire();
  await told.send(head("Content-Length: 2001"));
  const { status, text } = await told.answer("bytes");
  assert.equal(status, 413);
  assert.match(text, /Cannot read the request: expected a body of at most 2000 bytes/);
  using untold = new Wire();
  await untold.send(head("Transfer-Encoding: chunked") + `7d1\r\n${"x".repeat(2001)}\r\n`); // and no end
  assert.equal((await untold.answer("bytes")).status, 413);
});

Deno.test("a body that does not come in time is refused, while others are served", async () => {
  await using impatient = new Served(drawer, { bodySeconds: 1 });
  for (
    const [path, form] of [["/v1/images/generations", '"message"'], [
      "/sdapi/v1/txt2img",
      '"detail"',
    ]] as const
  ) {
    using slow = new Wire(impatient);
    await slow.send(head("Content-Length: 100", path) + '{"prompt": ');
    assert.equal((await draw({ ...flower, steps: 1 })).status, 200);
    const { status, text } = await slow.answer("}");
    assert.equal(status, 408);
    assert.match(
      text,
      new RegExp(`${form}:"Cannot read the request: expected its body within 1 s, got a part"`),
    );
  }
  assert.ok(!drawer.busy);
});

Deno.test("where the queue is full each API says when to try again", async () => {
  using endings = new Endings(drawer);
  const leaving = new AbortController();
  const { signal } = leaving;
  const body = JSON.stringify(long);
  const post = () =>
    fetch(`${served.address}/v1/images/generations`, {
      ...{ method: "POST", body, signal, headers: { "content-type": "application/json" } },
    });
  const two = [post(), post()].map((response) => response.catch(() => {}));
  await until(() => drawer.waiting > 0);
  for (const path of ["/v1/images/generations", "/v1/jobs", "/sdapi/v1/txt2img"]) {
    const { status, headers } = await served.call("POST", path, { prompt: "a cat", steps: 1 });
    assert.deepEqual([path, status, headers.get("retry-after")], [path, 429, "5"]);
  }
  leaving.abort();
  await Promise.all(two);
  await endings.expectStopped(2);
});

Deno.test("another host's name is refused, in each API's form", async () => {
  for (const [path, form] of [["/v1/models", '"error":{'], ["/sdapi/v1/options", '"detail":"']] as const) {
    using wire = new Wire();
    await wire.send(`GET ${path} HTTP/1.1\r\nHost: denoise.evil.example\r\n\r\n`);
    const { status, text } = await wire.answer("}");
    assert.equal(status, 403);
    assert.ok(text.includes(form), text);
  }
});
