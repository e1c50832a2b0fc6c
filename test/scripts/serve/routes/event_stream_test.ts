import assert from "node:assert/strict";
import { Hono } from "hono";
import { answerEvents, type EventSource, frameOf } from "../../../../scripts/serve/routes/event_stream.ts";

/** The body of a stream's answer. */
async function bodyOf(source: EventSource): Promise<ReadableStreamDefaultReader<string>> {
  const app = new Hono().get("/", (context) => answerEvents(context, source));
  const { body, headers } = await app.request("/");
  assert.equal(headers.get("content-type"), "text/event-stream");
  return body!.pipeThrough(new TextDecoderStream(), {}).getReader();
}

/** Makes the timers of so many milliseconds short, until disposed of. */
function shortened(milliseconds: number): Disposable {
  const { setTimeout: set } = globalThis;
  const short = (handler: () => void, wait?: number) => set(handler, wait === milliseconds ? 10 : wait);
  globalThis.setTimeout = short as typeof set;
  return { [Symbol.dispose]: () => void (globalThis.setTimeout = set) };
}

const frame = frameOf("told", { text: "a\nb" }, 3);

Deno.test("frames are asked for when the client takes them, and the end is told once", async () => {
  const frames = [frame, frameOf("last", {})];
  let [asked, ended] = [0, 0];
  const next = () => Promise.resolve(frames[asked++]);
  const app = new Hono().get("/", (context) => answerEvents(context, { next, end: () => ended++ }));
  const { body } = await app.request("/");
  assert.equal(asked, 0);
  const text = await new Response(body).text();
  assert.equal(text, 'event: told\ndata: {"text":"a\\nb"}\nid: 3\n\nevent: last\ndata: {}\n\n');
  assert.deepEqual([asked, ended], [3, 1]);
});

Deno.test("a stream that has nothing to tell gives signs of life, and loses nothing by them", async () => {
  using _ = shortened(15_000);
  const coming = Promise.withResolvers<Uint8Array>();
  const reader = await bodyOf({ next: () => coming.promise, end: () => {} });
  for (let i = 0; i < 3; i++) assert.equal((await reader.read()).value, ":\n\n");
  coming.resolve(frame);
  let value: string | undefined;
  do ({ value } = await reader.read()); while (value === ":\n\n");
  assert.match(value!, /^event: told/);
  await reader.cancel();
});

Deno.test("a stream of which the client takes nothing ends after a minute", async () => {
  using _ = shortened(60_000);
  const ended = Promise.withResolvers<void>();
  const app = new Hono().get(
    "/",
    (context) => answerEvents(context, { next: () => Promise.resolve(frame), end: ended.resolve }),
  );
  const { body } = await app.request("/");
  const reader = body!.getReader();
  await reader.read();
  await ended.promise;
  await assert.rejects(reader.read(), /^Error: Cannot send events: the client takes none$/);
});
