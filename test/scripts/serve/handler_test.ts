import assert from "node:assert/strict";
import OpenAI, { toFile } from "openai";
import { createHandler, Drawer, type HandlerOptions, LOOPBACK } from "denoise/serve";
import { decodePicture } from "../../../src/io/images/load_image.ts";
import { decodePng, encodePng } from "../../../src/io/images/png.ts";
import { readEditForm } from "../../../scripts/serve/routes/openai/params.ts";
import { emoji } from "../../support/emoji.ts";
import { fixture } from "../../support/fixtures.ts";
import { Served as PlainServed } from "../../support/served.ts";
import { until } from "../../support/until.ts";

const EMOJI = { name: "emoji-diffusion", path: emoji };
const flower = { prompt: "a nice flower", size: "32x32" } as const;
const quick = { steps: 2, seed: 3 }; // what the client sends as extra_body
const photo = Deno.readFileSync(fixture("pictures/files/turned_6.jpg"));

let drawer: Drawer;
Deno.test.beforeAll(async () => {
  drawer = await Drawer.open({ models: [EMOJI, { name: "other", path: emoji }], limits: { waiting: 1 } });
});
Deno.test.afterAll(() => drawer[Symbol.asyncDispose]());

/** A server of the test's, and OpenAI's own client for it. */
class Served extends PlainServed {
  readonly client: OpenAI;

  constructor(options: HandlerOptions = {}, apiKey = "any") {
    super(drawer, options);
    this.client = new OpenAI({ baseURL: `${this.address}/v1`, apiKey, maxRetries: 0 });
  }

  /** A request without the client. */
  async post(path: string, body: BodyInit, headers: Record<string, string> = {}) {
    const response = await fetch(this.address + path, { method: "POST", body, headers });
    return { status: response.status, error: (await response.json()).error };
  }
}

const pixelsOf = (png: Uint8Array) => decodePng(png, "a picture").data;
/** OpenAI's types do not know what else this server takes. */
const more = <T>(params: T): T => ({ ...params, ...quick });

async function drawnAs(request: Parameters<Drawer["draw"]>[0]): Promise<Uint8Array[]> {
  const size = { width: 32, height: 32 };
  const { pictures } = await drawer.draw({ prompt: "a nice flower", steps: 2, seed: 3n, size, ...request });
  return pictures.map(({ png }) => png);
}

Deno.test("OpenAI's client lists the models, and finds one", async () => {
  await using served = new Served();
  const models = await Array.fromAsync(served.client.models.list());
  assert.deepEqual(models.map(({ id }) => id), ["emoji-diffusion", "other"]);
  assert.equal((await served.client.models.retrieve("emoji-diffusion")).object, "model");
  await assert.rejects(served.client.models.retrieve("dall-e"), { status: 404, code: "model_not_found" });
});

Deno.test("OpenAI's client draws pictures, as text and by addresses", async () => {
  await using served = new Served();
  const want = await drawnAs({ count: 2 });
  const text = await served.client.images.generate(
    more({ ...flower, n: 2, model: "emoji-diffusion" }),
  );
  assert.deepEqual(text.data!.map(({ b64_json }) => Uint8Array.fromBase64(b64_json!)), want);
  assert.equal(text.size, "32x32");
  const addressed = await served.client.images.generate(more({ ...flower, n: 2, response_format: "url" }));
  for (const [i, { url }] of addressed.data!.entries()) {
    assert.match(url!, /^http:\/\/127\.0\.0\.1:\d+\/pictures\/[0-9a-f]{32}\.png$/);
    const response = await fetch(url!);
    assert.equal(response.headers.get("content-type"), "image/png");
    assert.deepEqual(await response.bytes(), want[i]);
  }
  for (const output_format of ["jpeg", "webp"] as const) {
    const [near] = (await served.client.images.generate(more({ ...flower, output_format }))).data!;
    const image = await decodePicture(Uint8Array.fromBase64(near!.b64_json!), output_format);
    const exact = pixelsOf(want[0]!);
    const off = image.data.reduce((sum, value, i) => sum + Math.abs(value - exact[i]!), 0) / exact.length;
    assert.ok(off < 4, `${output_format} is off by ${off} of 255`);
  }
  const poor = { ...flower, output_format: "jpeg", output_compression: 10, response_format: "url" } as const;
  const [{ url }] = (await served.client.images.generate(more(poor))).data as [{ url: string }];
  assert.match(url, /\.jpeg$/);
  const small = await fetch(url);
  assert.equal(small.headers.get("content-type"), "image/jpeg");
  assert.ok((await small.bytes()).length < 1000);
  const gone = await fetch(`${served.address}/pictures/${"0".repeat(32)}.png`);
  assert.equal(gone.status, 404);
  await gone.body?.cancel();
});

Deno.test("pictures without a seed differ, and have the size that the model was trained for", async () => {
  await using served = new Served();
  const draw = async () => {
    const params = { prompt: "a cat", size: "auto", steps: 1 } as const;
    const { data: [one] } = await served.client.images.generate(params) as { data: OpenAI.Image[] };
    return decodePng(Uint8Array.fromBase64(one!.b64_json!), "a picture");
  };
  const [a, b] = [await draw(), await draw()];
  assert.deepEqual([a.width, a.height], [64, 64]);
  assert.notDeepEqual(a.data, b.data);
});

Deno.test("OpenAI's client edits a picture: all of it, behind a mask, or where it is transparent", async () => {
  await using served = new Served();
  const image = await toFile(photo, "photo.jpg");
  const edit = async (params: Partial<OpenAI.ImageEditParamsNonStreaming>) => {
    const { data } = await served.client.images.edit(more({ ...flower, image, ...params }));
    return Uint8Array.fromBase64(data![0]!.b64_json!);
  };
  const [whole] = await drawnAs({ image: [photo] });
  assert.deepEqual(await edit({}), whole);

  const left = (i: number) => i % 32 < 16;
  const alpha = new Uint8Array(4 * 32 * 32).map((_, i) => i % 4 === 3 && left(Math.floor(i / 4)) ? 0 : 255);
  const hole = encodePng({ width: 32, height: 32, channels: 4, data: alpha });
  const white = new Uint8Array(32 * 32).map((_, i) => left(i) ? 255 : 0);
  const mask = encodePng({ width: 32, height: 32, channels: 1, data: white });
  const [inside] = await drawnAs({ image: [photo], mask });
  assert.notDeepEqual(pixelsOf(inside!), pixelsOf(whole!));
  assert.deepEqual(pixelsOf(await edit({ mask: await toFile(hole, "mask.png") })), pixelsOf(inside!));
  assert.deepEqual(pixelsOf(await edit({ mask: await toFile(mask, "mask.png") })), pixelsOf(inside!));

  const [within] = await drawnAs({ image: [hole], mask });
  assert.deepEqual(pixelsOf(await edit({ image: await toFile(hole, "hole.png") })), pixelsOf(within!));
});

Deno.test("a picture's own transparent parts are a mask only where the model takes one", async () => {
  const data = new Uint8Array(4 * 4 * 4);
  const form = new FormData();
  form.set("prompt", "a cat");
  form.set("image", new Blob([new Uint8Array(encodePng({ width: 4, height: 4, channels: 4, data }))]));
  for (const takes of [true, false]) {
    const { request } = await readEditForm(form, { takes: () => takes } as unknown as Drawer);
    assert.equal(request.mask !== undefined, takes);
  }
});

Deno.test("OpenAI's client takes a stream of pictures on the way, and the last", async () => {
  await using served = new Served();
  const params = { ...flower, stream: true, partial_images: 2, ...quick, steps: 8 } as const;
  const events = await Array.fromAsync(await served.client.images.generate(params));
  const kinds = events.map((event) => event.type);
  assert.equal(kinds.at(-1), "image_generation.completed");
  assert.ok(kinds.length > 1 && kinds.length <= 3, kinds.join());
  for (const event of events.slice(0, -1)) {
    assert.ok(event.type === "image_generation.partial_image");
    assert.equal(decodePng(Uint8Array.fromBase64(event.b64_json), "a preview").width, 256);
  }
  const last = Uint8Array.fromBase64(events.at(-1)!.b64_json);
  assert.deepEqual(last, (await drawnAs({ steps: 8 }))[0]);
});

Deno.test("a stream has as many pictures on the way as were asked for, the first step's too, or as there are steps", async () => {
  await using served = new Served();
  for (const [steps, wanted] of [[4, [0, 1, 2]], [2, [0]], [1, []]] as const) {
    const params = {
      ...flower,
      stream: true,
      partial_images: 3,
      ...quick,
      scheduler: "Euler",
      steps,
    } as const;
    const events = await Array.fromAsync(await served.client.images.generate(params));
    const told = events.flatMap((event) => "partial_image_index" in event ? [event.partial_image_index] : []);
    assert.deepEqual(told, wanted);
  }
});

Deno.test("a stream of several pictures tells each when it is done, with what was on the way to it", async () => {
  await using served = new Served();
  const params = { ...flower, n: 2, stream: true, partial_images: 1, ...quick, steps: 4 } as const;
  const events = await Array.fromAsync(await served.client.images.generate(params));
  const told = events.map((event) => [
    event.type.replace("image_generation.", ""),
    "partial_image_index" in event ? event.partial_image_index : event.usage.total_tokens,
    event.size,
  ]);
  const one = [["partial_image", 0, "32x32"], ["completed", 0, "32x32"]];
  assert.deepEqual(told, [...one, ...one]);
  const done = events.flatMap((event) => event.type === "image_generation.completed" ? [event.b64_json] : []);
  assert.deepEqual(done.map((text) => Uint8Array.fromBase64(text)), await drawnAs({ count: 2, steps: 4 }));
});

Deno.test("a client that reads nothing of its stream does not hold up what is drawn", async () => {
  const body = JSON.stringify({
    ...flower,
    ...quick,
    n: 3,
    stream: true,
    partial_images: 2,
    output_format: "webp",
  });
  const headers = { "content-type": "application/json" };
  const request = new Request("http://localhost/v1/images/generations", { method: "POST", body, headers });
  const response = await createHandler(drawer)(request);
  await until(() => drawer.busy);
  await until(() => !drawer.busy);
  const text = await response.text();
  assert.equal(text.match(/^event: image_generation\.completed$/gm)!.length, 3);
});

const wrong: Record<string, [params: object, status: number, param: string | null, message: RegExp]> = {
  "no prompt": [{ prompt: undefined }, 400, "prompt", /^400 Cannot draw: expected a prompt, got none$/],
  "an unknown model": [
    { model: "dall-e-3" },
    404,
    "model",
    /^404 Cannot find the model dall-e-3: nearest is /,
  ],
  "too many pictures": [{ n: 11 }, 400, "n", /^400 Cannot draw: expected count of at most 10, got 11$/],
  "diffusers' name for steps": [
    { num_inference_steps: 3 },
    400,
    null,
    /^400 Cannot draw with num_inference_steps: no such option; it is steps here$/,
  ],
  "our name for n": [{ count: 3 }, 400, null, /^400 Cannot draw with count: no such option; it is n here$/],
  "no picture": [{ n: 0 }, 400, "n", /^400 Cannot draw: expected n to be at least 1, got 0$/],
  "a billion of steps": [
    { steps: 1e9 },
    400,
    "steps",
    /^400 Cannot draw: expected steps of at most 150, got 1000000000$/,
  ],
  "a billion of pictures": [
    { n: 1e9 },
    400,
    "n",
    /^400 Cannot draw: expected count of at most 10, got 1000000000$/,
  ],
  "sides of a million": [
    { size: "1000000x1000000" },
    400,
    "size",
    /^400 Cannot take size 1000000x1000000: expected at most 2097152 pixels, got 1000000000000$/,
  ],
  "half a picture": [{ n: 0.5 }, 400, "n", /^400 Cannot draw: expected n to be a whole number, got 0\.5$/],
  "another size": [
    { size: "large" },
    400,
    "size",
    /^400 Cannot draw: expected size to be WIDTHxHEIGHT in pixels/,
  ],
  "sides of 30": [{ size: "30x32" }, 400, "size", /^400 Cannot take size 30x32: expected multiples of 4/],
  "another format": [
    { output_format: "gif" },
    400,
    "output_format",
    /one of "png", "jpeg", "webp", got "gif"$/,
  ],
  "a transparent background": [
    { background: "transparent" },
    400,
    "background",
    /to be one of "auto", "opaque"/,
  ],
  "a style": [{ style: "vivid" }, 400, null, /^400 Cannot draw with style: no such option; /],
  "a quality": [{ quality: "hd" }, 400, "quality", /to be one of "auto", "standard", got "hd"$/],
  "no steps, in a stream": [
    { stream: true, steps: 0 },
    400,
    "steps",
    /expected steps to be more than 0, got 0$/,
  ],
  "a path as a picture": [
    { image: "/etc/passwd" },
    400,
    null,
    /^400 Cannot draw with image: no such option; /,
  ],
};
for (const [what, [params, status, param, message]] of Object.entries(wrong)) {
  Deno.test(`what a client does wrong is answered in OpenAI's form: ${what}`, async () => {
    await using served = new Served();
    const drawn = served.client.images.generate({ ...flower, ...params });
    await assert.rejects(drawn, (error) => {
      assert.ok(error instanceof OpenAI.APIError, String(error));
      assert.match(error.message, message);
      assert.deepEqual([error.status, error.param, error.type], [status, param, "invalid_request_error"]);
      return true;
    });
  });
}

Deno.test("a full queue is told as a limit, after which one may try again", async () => {
  await using served = new Served();
  const params = { ...flower, steps: 100 };
  const leaving = new AbortController();
  const draw = () => served.client.images.generate(params, { signal: leaving.signal });
  const two = [draw(), draw()];
  const ends = Promise.allSettled(two);
  await until(() => drawer.waiting === 1);
  await assert.rejects(draw(), { status: 429, type: "rate_limit_error", code: "queue_full" });
  leaving.abort();
  await ends;
  await until(() => !drawer.busy);
});

Deno.test("only those with the key are answered, but for the health of the server", async () => {
  await using served = new Served({ key: "secret" }, "secret");
  assert.equal((await served.client.models.list()).data.length, 2);
  for (const apiKey of ["", "secre", "secret2", "Secret"]) {
    const other = new OpenAI({ baseURL: `${served.address}/v1`, apiKey: apiKey || "x", maxRetries: 0 });
    await assert.rejects(other.models.list(), { status: 401, code: "invalid_api_key" });
  }
  const health = await fetch(`${served.address}/healthz`);
  assert.deepEqual(await health.json(), { status: "ok" });
  assert.equal((await served.post("/v1/images/generations", "{}")).status, 401);
});

Deno.test("a key of any letters is taken in UTF-8, in Latin-1, and as a password", async () => {
  const status = async (key: string, authorization: string) => {
    const headers = { authorization };
    return (await createHandler(drawer, { key })(new Request("http://localhost/v1/models", { headers })))
      .status;
  };
  const bytesOf = (text: string) => String.fromCharCode(...new TextEncoder().encode(text)); // as a server reads them
  assert.equal(await status("schlüssel ✓", `Bearer ${bytesOf("schlüssel ✓")}`), 200);
  assert.equal(await status("schlüssel", "Bearer schlüssel"), 200);
  assert.equal(await status("schlüssel ✓", `Basic ${btoa(bytesOf("anybody:schlüssel ✓"))}`), 200);
  assert.equal(await status("schlüssel", "Bearer schlussel"), 401);
});

Deno.test("other hosts' names and other sites' pages are refused", async () => {
  const handler = createHandler(drawer, { hosts: LOOPBACK });
  const status = async (headers: Record<string, string>) =>
    (await handler(new Request("http://localhost/v1/models", { headers }))).status;
  assert.equal(await status({ host: "localhost:7860" }), 200);
  assert.equal(await status({ host: "[::1]:7860" }), 200);
  assert.equal(await status({ host: "localhost:7860", origin: "http://localhost:7860" }), 200);
  for (
    const host of ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "localhost:1:2"]
  ) {
    assert.equal(await status({ host }), 403, host);
  }
  for (const origin of ["http://evil.example", "null", "http://localhost:1"]) {
    assert.equal(await status({ host: "localhost:7860", origin }), 403, origin);
  }
});

Deno.test("bodies are of the right type, whole, and not too large", async () => {
  await using served = new Served({ body: 1000 });
  const json = { "content-type": "application/json" };
  const large = JSON.stringify({ prompt: "a".repeat(1000) });
  const streamed = new Blob([large]).stream(); // without a length
  for (const body of [large, streamed]) {
    const { status, error } = await served.post("/v1/images/generations", body, json);
    assert.equal(status, 413);
    assert.equal(error.message, "Cannot read the request: expected a body of at most 1000 bytes");
  }
  const cases: [path: string, body: BodyInit, headers: Record<string, string>, message: RegExp][] = [
    ["generations", "{", json, /^Cannot draw: expected JSON, got something else in line 1, column 2$/],
    [
      "generations",
      '{\n "size": "a" "b"}',
      json,
      /^Cannot draw: expected JSON, got something else in line 2, column 14$/,
    ],
    ["generations", "[]", json, /^Cannot draw: expected options in an object/],
    [
      "generations",
      "{}",
      { "content-type": "text/plain" },
      /expected a body of type application\/json, got text/,
    ],
    [
      "generations",
      "{}",
      { "content-type": "application/jsonx" },
      /application\/json, got application\/jsonx$/,
    ],
    ["edits", form(["n", "1"], ["n", "2"]), {}, /^Cannot draw: expected n once, got it twice$/],
    [
      "edits",
      form(["mask", new Blob(["x"])], ["mask", new Blob(["x"])]),
      {},
      /^Cannot draw: expected mask once, got it twice$/,
    ],
    ["edits", "{}", json, /expected a body of type multipart\/form-data, got application\/json$/],
    [
      "edits",
      "x",
      { "content-type": "multipart/form-data; boundary=y" },
      /^Cannot edit: expected a form with files/,
    ],
    ["edits", new FormData(), {}, /^Cannot edit: expected an? /],
  ];
  for (const [path, body, headers, message] of cases) {
    const { status, error } = await served.post(`/v1/images/${path}`, body, headers);
    assert.equal(status, 400, String(message));
    assert.match(error.message, message);
    assert.equal(error.type, "invalid_request_error");
  }
});

function form(...fields: [name: string, value: string | Blob][]): FormData {
  const form = new FormData();
  for (const [name, value] of fields) form.append(name, value as string);
  return form;
}
