import assert from "node:assert/strict";
import { Drawer } from "denoise/serve";
import { profileForm } from "../../../../scripts/profile/form.ts";
import { emoji } from "../../../support/emoji.ts";
import { Endings } from "../../../support/endings.ts";
import { fixture } from "../../../support/fixtures.ts";
import { Served } from "../../../support/served.ts";
import { until } from "../../../support/until.ts";

const flower = { prompt: "a nice flower", size: "32x32", steps: 4, seed: 3 };

let drawer: Drawer;
Deno.test.beforeAll(async () => {
  drawer = await Drawer.open({ models: [{ name: "emoji", path: emoji }], limits: { waiting: 1 } });
});
Deno.test.afterAll(() => drawer[Symbol.asyncDispose]());

/** A job once it has ended. */
async function ended(served: Served, id: string) {
  return await until(async () => {
    const { json } = await served.call("GET", `/v1/jobs/${id}`);
    return !["queued", "running"].includes(json.status) && json;
  });
}

Deno.test("a step of a request is profiled as a job, whose report needs nothing else and reaches nothing", async () => {
  await using served = new Served(drawer);
  const { status, json, headers } = await served.call("POST", "/v1/profiles", flower);
  assert.equal(status, 202);
  assert.equal(headers.get("location"), `${served.address}/v1/jobs/${json.id}`);
  assert.equal(json.profile, null);
  const { profile, pictures, progress, error } = await ended(served, json.id);
  assert.deepEqual([error, pictures], [null, []]);
  assert.equal(progress, null); // it has ended
  const { ms, bound, url, json_url } = profile;

  const file = await fetch(json_url);
  assert.equal(file.headers.get("content-type"), "application/json");
  const { step, subject, rows } = profileForm.parse(await file.json());
  assert.equal(ms, step.median);
  assert.match(bound, /bound/);
  assert.deepEqual([subject.model, subject.steps], ["emoji", 7]);
  assert.ok(rows.every(({ mark }) => mark === "step"));

  const report = await fetch(url);
  assert.equal(report.headers.get("content-type"), "text/html; charset=utf-8");
  assert.match(report.headers.get("content-security-policy")!, /^sandbox allow-scripts; default-src 'none';/);
  assert.match(await report.text(), /<script type="application\/json" id="report">/);

  await served.call("DELETE", `/v1/jobs/${json.id}`); // which forgets both
  for (const address of [url, json_url]) {
    const gone = await fetch(address);
    assert.deepEqual([gone.status, await gone.text()], [
      404,
      "Cannot find the profile: it is kept for an hour at most",
    ]);
  }
});

Deno.test("of a request with two passes, a step of the first is profiled", async () => {
  await using served = new Served(drawer);
  const fileOf = async (request: object) => {
    const { json: { id } } = await served.call("POST", "/v1/profiles", request);
    const { profile } = await ended(served, id);
    return profileForm.parse(await (await fetch(profile.json_url)).json());
  };
  const { subject, rows } = await fileOf({ ...flower, hires: "64x64", "hires-steps": 3 });
  assert.deepEqual([subject.work, subject.steps], ['a step of the first pass of "a nice flower"', 7]);
  assert.equal(rows.length, (await fileOf(flower)).rows.length);
});

Deno.test("a profile is cancelled within a step", async () => {
  using endings = new Endings(drawer);
  await using served = new Served(drawer);
  const { json: { id } } = await served.call("POST", "/v1/profiles", { ...flower, size: "64x64" });
  await until(async () => {
    return (await served.call("GET", `/v1/jobs/${id}`)).json.progress?.phase === "measuring";
  });
  const { json } = await served.call("DELETE", `/v1/jobs/${id}`);
  assert.deepEqual([json.status, json.profile], ["cancelled", null]);
  await endings.expectStopped();
});

Deno.test("the first profile is cancelled while the adapter's peaks are measured, and the next one measures them", async () => {
  await using fresh = await Drawer.open({ models: [{ name: "emoji", path: emoji }] });
  const { queue } = fresh.device.gpu;
  const cancelling = new AbortController();
  const { submit } = queue;
  let submits = 0;
  queue.submit = (commands) => {
    submits++;
    if (submits === 3) cancelling.abort();
    submit.call(queue, commands);
  };
  const request = { prompt: "a nice flower", steps: 4, size: { width: 32, height: 32 } };
  await assert.rejects(fresh.profile(request, { signal: cancelling.signal }), { name: "AbortError" });
  assert.equal(submits, 3); // the round at hand is the last
  queue.submit = submit;
  assert.ok((await fresh.profile(request)).ms > 0);
});

Deno.test("a profile is refused where its request is, without the key, and without timestamps", async () => {
  await using served = new Served(drawer, { key: "right" });
  const post = (request: object, key = "right") =>
    served.call("POST", "/v1/profiles", request, { authorization: `Bearer ${key}` });
  assert.equal((await post(flower, "wrong")).status, 401);
  const { status, json } = await post({ ...flower, steps: 1000 });
  assert.deepEqual([status, json.error.param], [400, "steps"]);
  const image = Deno.readFileSync(fixture("pictures/files/turned_6.jpg")).toBase64();
  const weak = await post({ ...flower, image, strength: 0.007, steps: 150 });
  assert.deepEqual([weak.status, weak.json.error.param], [400, "strength"]);
  assert.match(
    weak.json.error.message,
    /^Cannot profile a step: expected a strength of at least 0.01, got /,
  );
  const { device } = drawer;
  try {
    const features = new Set(device.gpu.features);
    features.delete("timestamp-query");
    Object.defineProperty(device, "gpu", { value: { features }, configurable: true });
    const { status, json } = await post(flower);
    assert.deepEqual([status, json.error.message], [
      400,
      `Cannot profile on ${device.adapterName}: it lacks timestamp-query`,
    ]);
  } finally {
    Reflect.deleteProperty(device, "gpu");
  }
});
