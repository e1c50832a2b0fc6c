import assert from "node:assert/strict";
import { createHandler, Drawer, type LogEntry } from "denoise/serve";
import { emoji } from "../../../support/emoji.ts";
import { until } from "../../../support/until.ts";

const size = "32x32";
const request = { prompt: "a secret flower", negative: "hidden", size, steps: 2, scheduler: "DDIM" };

/** A handler with its log, and the numbers of /metrics. */
function watched(drawer: Drawer, logPrompts = false) {
  const lines: LogEntry[] = [];
  const handler = createHandler(drawer, { log: (entry) => lines.push(entry), logPrompts });
  const call = (path: string, body?: object, signal?: AbortSignal) =>
    handler(
      new Request(`http://localhost${path}`, {
        method: body ? "POST" : "GET",
        headers: { host: "localhost", ...body ? { "content-type": "application/json" } : {} },
        body: body ? JSON.stringify(body) : null,
        signal: signal ?? null,
      }),
    );
  const numbers = async () => {
    const response = await call("/metrics");
    assert.match(response.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
    const rows = (await response.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return Object.fromEntries(
      rows.map((row) => [row.slice(0, row.lastIndexOf(" ")), Number(row.split(" ").at(-1))]),
    );
  };
  return { lines, call, handler, numbers };
}

Deno.test("metrics count requests, pictures, steps, what waits and what is loaded, and a lost device", async () => {
  await using drawer = await Drawer.open({
    models: [{ name: "emoji", path: emoji }],
    limits: { waiting: 1 },
  });
  const { call, handler, numbers } = watched(drawer);
  for (const method of ["PUT", "MADE", "UP"]) {
    await handler(new Request("http://localhost/healthz", { method }));
  }
  const methods = Object.keys(await numbers()).flatMap((row) =>
    /method="(\w+)".*status="405"/.exec(row)?.[1] ?? []
  );
  assert.deepEqual(methods, ["PUT", "other"]);
  for (const path of ["/", "/page/main.ts", "/page/other.ts", "/pictures/a.png", "/v3/x", "/v3/y"]) {
    await (await call(path)).body?.cancel();
  }
  const routes = new Set(
    Object.keys(await numbers()).flatMap((row) => /route="([^"]+)"/.exec(row)?.[1] ?? []),
  );
  assert.deepEqual([...routes], [
    ...["/healthz", "/metrics", "/", "/page/main.ts", "unknown", "/pictures/:name"],
  ]);
  assert.equal((await numbers())["denoise_models_loaded"], 0);
  const draw = (params: object = {}, signal?: AbortSignal) =>
    call("/v1/images/generations", { ...request, ...params }, signal);
  assert.equal((await draw({ n: 3 })).status, 200);
  assert.equal((await draw({ steps: 1000 })).status, 400);
  assert.equal((await draw({ steps: 1000, stream: true })).status, 400);
  assert.equal((await call("/v1/nothing")).status, 404);
  const leaving = new AbortController();
  const long = draw({ steps: 100 }, leaving.signal);
  await until(() => drawer.busy);
  const waiting = draw();
  await until(() => drawer.waiting > 0);
  assert.equal((await draw()).status, 429);
  const now = await numbers();
  assert.deepEqual([now["denoise_queue_waiting"], now["denoise_busy"]], [1, 1]);
  assert.equal(now["denoise_models_loaded"], 1);
  assert.ok(now["denoise_gpu_bytes"]! > 1e6);
  leaving.abort();
  await Promise.all([long, waiting]);

  const lost = drawer.draw({ prompt: "a cat", steps: 4, size: { width: 32, height: 32 } }, {
    onProgress: (progress) =>
      progress.phase === "drawing" && progress.step === 2 && drawer.device.gpu.destroy(),
  });
  await assert.rejects(lost, { name: "DeviceLostError" }); // each of both attempts loses it
  const end = await numbers();
  const of = (name: string, labels: string) => end[`denoise_${name}{${labels}}`];
  assert.equal(of("drawings_total", 'outcome="succeeded"'), 2);
  assert.equal(of("drawings_total", 'outcome="invalid"'), 2);
  assert.equal(end["denoise_wait_seconds_count"], 4); // of those whose turn came
  assert.equal(of("drawings_total", 'outcome="busy"'), 1);
  assert.equal(of("drawings_total", 'outcome="cancelled"'), 1);
  assert.equal(of("drawings_total", 'outcome="failed"'), 1);
  assert.equal(of("picture_seconds_count", 'model="emoji"'), 4);
  assert.ok(of("picture_seconds_sum", 'model="emoji"')! > 0);
  assert.ok(of("steps_total", 'model="emoji"')! >= 4 * 2 + 1);
  assert.equal(end["denoise_device_lost_total"], 1);
  const route = 'method="POST",route="/v1/images/generations"';
  assert.equal(of("requests_total", `${route},status="200"`), 2);
  assert.equal(of("requests_total", `${route},status="429"`), 1);
  assert.equal(of("requests_total", `${route},status="400"`), 2);
});

Deno.test("a log that fails is no fault of the request", async () => {
  await using drawer = await Drawer.open({ models: [{ name: "emoji", path: emoji }] });
  const failed: unknown[] = [];
  const { error: print } = console;
  console.error = (error) => void failed.push(error);
  try {
    const fail = () => {
      throw new Error("no room on the disk");
    };
    drawer.listen(fail);
    const size = { width: 32, height: 32 };
    assert.equal((await drawer.draw({ ...request, size })).pictures.length, 1);
  } finally {
    console.error = print;
  }
  assert.match(String(failed), /^Error: no room on the disk$/);
});

for (const logPrompts of [false, true]) {
  Deno.test(`the log has a line for each request and drawing, ${logPrompts ? "with" : "without"} prompts`, async () => {
    await using drawer = await Drawer.open({ models: [{ name: "emoji", path: emoji }] });
    const { call, lines } = watched(drawer, logPrompts);
    await call("/v1/images/generations", request);
    await call("/v1/jobs/some-name");
    const text = JSON.stringify(lines);
    assert.equal(text.includes("secret"), logPrompts);
    assert.equal(text.includes("hidden"), logPrompts);
    assert.ok(!text.includes("some-name"), "names of jobs and pictures are as good as keys");
    for (const line of lines) assert.match(String(line["seconds"]), /^\d+(\.\d{1,4})?$/);
    const [drawing, answer, missing] = lines as [LogEntry, LogEntry, LogEntry];
    assert.deepEqual(
      [drawing.event, drawing["outcome"], drawing["model"], drawing["pictures"], drawing["steps"]],
      ["drawing", "succeeded", "emoji", 1, 2],
    );
    assert.deepEqual([answer.event, answer["method"], answer["route"], answer["status"]], [
      ...["request", "POST", "/v1/images/generations", 200],
    ]);
    assert.deepEqual([missing["route"], missing["status"]], ["/v1/jobs/:id", 404]);
    assert.ok(!Number.isNaN(Date.parse(answer.time)));
  });
}
