import assert from "node:assert/strict";
import { createHandler, Drawer } from "denoise/serve";
import { Job, Jobs } from "../../../../scripts/serve/http/jobs.ts";
import { PictureStore } from "../../../../scripts/serve/http/store.ts";
import { decodePng } from "../../../../src/io/images/png.ts";
import { emoji } from "../../../support/emoji.ts";
import { Endings } from "../../../support/endings.ts";
import { Served } from "../../../support/served.ts";

const flower = { prompt: "a nice flower", size: "32x32", steps: 4, seed: 3 };
const long = { ...flower, steps: 100, count: 4 };

let drawer: Drawer;
let served: Served;
Deno.test.beforeAll(async () => {
  drawer = await Drawer.open({ models: [{ name: "emoji", path: emoji }], limits: { waiting: 1 } });
  served = new Served(drawer);
});
Deno.test.afterAll(async () => {
  await served[Symbol.asyncDispose]();
  await drawer[Symbol.asyncDispose]();
});

/** An event of a stream, its data read. */
interface Event {
  id: number;
  event: string;
  // deno-lint-ignore no-explicit-any -- what a test expects of it
  data: any;
}

/** The events of a job as they come, like EventSource reads them. */
async function* events(id: string, last?: number, signal?: AbortSignal): AsyncGenerator<Event> {
  const response = await fetch(`${served.address}/v1/jobs/${id}/events`, {
    headers: last === undefined ? {} : { "last-event-id": String(last) },
    signal: signal ?? null,
  });
  assert.equal(response.headers.get("content-type"), "text/event-stream");
  let text = "";
  for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
    const blocks = (text + part).split("\n\n");
    text = blocks.pop()!;
    for (const block of blocks) {
      if (block === ":") continue; // a sign of life: the first picture compiles kernels
      const fields = Object.fromEntries(
        block.split("\n").map((line) => {
          const at = line.indexOf(": ");
          return [line.slice(0, at), line.slice(at + 2)];
        }),
      );
      yield { id: Number(fields["id"]), event: fields["event"]!, data: JSON.parse(fields["data"]!) };
    }
  }
}

async function begun(request: object): Promise<string> {
  const { status, json, headers } = await served.call("POST", "/v1/jobs", request);
  assert.equal(status, 202, JSON.stringify(json));
  assert.equal(headers.get("location"), `${served.address}/v1/jobs/${json.id}`);
  return json.id;
}

async function ended(id: string) {
  const all = await Array.fromAsync(events(id));
  return all.at(-1)!.data;
}

Deno.test("a job draws what a request draws, and tells its steps with previews", async () => {
  const id = await begun(flower);
  const told = await Array.fromAsync(events(id));
  const ids = told.map((event) => event.id);
  assert.deepEqual(ids, ids.toSorted((a, b) => a - b));
  const kinds = new Set(told.map(({ event }) => event));
  assert.deepEqual([...kinds].toSorted(), ["preview", "progress", "succeeded"]);
  const progress = told.findLast(({ event }) => event === "progress")!.data;
  assert.deepEqual(progress, { phase: "drawing", step: 5, steps: 5, drawn: 0, together: 1, count: 1 }); // PNDM takes one more
  const preview = told.find(({ event }) => event === "preview")!.data;
  assert.equal(decodePng(Uint8Array.fromBase64(preview.b64_json), "a preview").width, 8); // of 32 pixels, 4 to a latent
  assert.ok(preview.step >= 1 && preview.step <= 5);

  const { status, json } = await served.call("GET", `/v1/jobs/${id}`);
  assert.equal(status, 200);
  assert.deepEqual(json, told.at(-1)!.data);
  const { url, ...picture } = json.pictures[0];
  assert.deepEqual(picture, { width: 32, height: 32, seed: "3" });
  const { object, progress: left, error, notices } = json;
  assert.deepEqual([json.status, object, left, error, notices], ["succeeded", "job", null, null, []]);
  const size = { width: 32, height: 32 };
  const { pictures: [want] } = await drawer.draw({ ...flower, size, seed: 3n });
  assert.deepEqual(await (await fetch(url)).bytes(), want!.png);
});

Deno.test("a client that lost its stream gets what came after the event that it saw last, and nothing twice", async () => {
  const id = await begun({ ...flower, steps: 40 });
  const leaving = new AbortController();
  const seen: number[] = [];
  for await (const event of events(id, undefined, leaving.signal)) {
    seen.push(event.id);
    if (event.event === "progress" && event.data.step >= 5) break;
  }
  leaving.abort();
  const rest = await Array.fromAsync(events(id, seen.at(-1)));
  assert.ok(rest.every((event) => event.id > seen.at(-1)!));
  assert.equal(rest.at(-1)!.event, "succeeded");
  const over = await fetch(`${served.address}/v1/jobs/${id}/events`, {
    headers: { "last-event-id": String(rest.at(-1)!.id) },
  });
  assert.equal(over.status, 204);
});

Deno.test("nothing is painted until somebody follows; who comes late sees the steps from then on", async () => {
  const id = await begun({ ...flower, steps: 60 });
  let step = 0;
  while (step < 5) step = (await served.call("GET", `/v1/jobs/${id}`)).json.progress.step ?? 0;
  const told = await Array.fromAsync(events(id));
  const first = told[0]!;
  assert.ok(first.data.step >= step && first.id <= first.data.step + 1, JSON.stringify(first)); // loading, and each step
  const shown = told.filter(({ event }) => event === "preview").map(({ data }) => data.step);
  assert.ok(shown.length > 5 && shown[0] >= step, shown.join());
});

Deno.test("HEAD of a job's events begins no stream, which nobody would read or end", async () => {
  const id = await begun(long);
  const { status, headers } = await fetch(`${served.address}/v1/jobs/${id}/events`, { method: "HEAD" });
  assert.deepEqual([status, headers.get("content-type")], [200, "text/event-stream"]);
  assert.equal(await streams(), 0);
  await served.call("DELETE", `/v1/jobs/${id}`);
});

Deno.test("a job has so many streams at a time, and those of clients that left are none", async () => {
  const id = await begun({ ...long, count: 10 });
  const open = async () => {
    const leaving = new AbortController();
    const response = await fetch(`${served.address}/v1/jobs/${id}/events`, { signal: leaving.signal });
    return { response, leave: () => leaving.abort() };
  };
  const many = await Promise.all(Array.from({ length: 16 }, open));
  assert.ok(many.every(({ response }) => response.status === 200));
  const refused = await served.call("GET", `/v1/jobs/${id}/events`);
  assert.deepEqual([refused.status, refused.json.error.code, refused.json.error.message], [
    429,
    "too_many_streams",
    "Cannot follow the job: expected at most 16 streams of one job, and there are as many; end another, or ask for " +
    "its status",
  ]);
  assert.equal(await streams(), 16);
  for (const { leave } of many) leave();
  while (await streams() > 0); // or the test is ended
  const again = await open();
  assert.equal(again.response.status, 200);
  await served.call("DELETE", `/v1/jobs/${id}`);
  assert.match(await again.response.text(), /event: cancelled\n/);
  assert.equal(await streams(), 0);
});

Deno.test("a job that has ended keeps no preview", () => {
  const job = new Job();
  job.tell({ kind: "preview", png: new Uint8Array(9), step: 1 });
  assert.deepEqual(job.after(0).map(({ kind }) => kind), ["preview"]);
  job.tell({ kind: "end" });
  assert.deepEqual(job.after(0).map(({ kind }) => kind), ["end"]);
});

Deno.test("all jobs together have so many streams", () => {
  const jobs = new Jobs(drawer, new PictureStore());
  const ends = Array.from({ length: 16 }, () => new Job()).flatMap((job) =>
    Array.from({ length: 16 }, () => jobs.follow(job))
  );
  const one = new Job();
  assert.throws(() => jobs.follow(one), /expected at most 256 streams of all jobs/);
  ends[0]!();
  jobs.follow(one)();
  assert.deepEqual([one.followers, jobs.followers], [0, 255]);
});

/** Streams that are open, as the metrics tell. */
async function streams(): Promise<number> {
  const text = await (await fetch(`${served.address}/metrics`)).text();
  return Number(/^denoise_event_streams (\d+)$/m.exec(text)![1]);
}

Deno.test("a job is cancelled within a step, while it is drawn or waits; others go on", async () => {
  using endings = new Endings(drawer);
  const [drawn, waiting] = [await begun(long), await begun(long)];
  const { json: { status, progress } } = await served.call("GET", `/v1/jobs/${waiting}`);
  assert.deepEqual([status, progress], ["queued", { phase: "waiting", ahead: 1 }]);
  const full = await served.call("POST", "/v1/jobs", long);
  assert.deepEqual([full.status, full.json.error.code], [429, "queue_full"]);
  assert.equal(full.headers.get("retry-after"), "5");

  const first = await served.call("DELETE", `/v1/jobs/${waiting}`);
  assert.deepEqual([first.status, first.json.status], [200, "cancelled"]);
  const next = await begun(flower);
  assert.equal((await served.call("DELETE", `/v1/jobs/${drawn}`)).json.status, "cancelled");
  const { status: end, pictures } = await ended(next);
  assert.deepEqual([end, pictures.length], ["succeeded", 1]);
  assert.equal((await ended(drawn)).status, "cancelled");
  await endings.expectStopped(2);
});

Deno.test("a job that has ended is forgotten on demand, with its pictures", async () => {
  const id = await begun({ ...flower, seed: undefined });
  const { pictures: [{ url, seed }] } = await ended(id);
  assert.match(seed, /^\d+$/);
  assert.equal((await served.call("DELETE", `/v1/jobs/${id}`)).json.status, "succeeded");
  for (const method of ["GET", "DELETE"]) {
    const { status, json } = await served.call(method, `/v1/jobs/${id}`);
    assert.deepEqual([status, json.error.message], [
      404,
      "Cannot find the job: it never was, or was forgotten",
    ]);
  }
  const { status, body } = await fetch(url);
  await body?.cancel();
  assert.equal(status, 404);
});

Deno.test("a job that fails tells the reason as other answers do; a request that is wrong never becomes one", async () => {
  const quick = await Drawer.open({ models: [{ name: "emoji", path: emoji }], limits: { seconds: 0.3 } });
  await using own = new Served(quick);
  const { json: { id } } = await own.call("POST", "/v1/jobs", long);
  const stream = await (await fetch(`${own.address}/v1/jobs/${id}/events`)).text();
  assert.match(stream, /event: failed\n/);
  const { json } = await own.call("GET", `/v1/jobs/${id}`);
  const message = "Cannot draw: expected to be done within 0.3 s, and was not";
  assert.deepEqual([json.status, json.error.message, json.error.code], ["failed", message, "timeout"]);
  await quick[Symbol.asyncDispose]();

  for (
    const request of [5, [], { ...flower, stepz: 3 }, { ...flower, steps: 1000 }, { image: "/etc/passwd" }]
  ) {
    const { status, json } = await served.call("POST", "/v1/jobs", request);
    assert.deepEqual([status, json.error.type], [400, "invalid_request_error"]);
  }
  const named = await served.call("POST", "/v1/jobs", { prompt: "a cat", n: 2 });
  assert.equal(named.json.error.message, "Cannot draw with n: no such option; it is count here");
});

Deno.test("a job whose client has left before it knew its name is cancelled", async () => {
  using endings = new Endings(drawer);
  const handler = createHandler(drawer);
  const leaving = new AbortController();
  const request = new Request("http://localhost/v1/jobs", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(long),
    signal: leaving.signal,
  });
  const answer = handler(request);
  leaving.abort();
  await answer;
  await endings.expectStopped();
});
