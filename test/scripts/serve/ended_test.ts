import assert from "node:assert/strict";
import { Drawer } from "denoise/serve";
import { emoji } from "../../support/emoji.ts";
import { fixture } from "../../support/fixtures.ts";
import { Served } from "../../support/served.ts";

const flower = { prompt: "a nice flower", size: "32x32", steps: 2 };
const photo = Deno.readFileSync(fixture("pictures/files/turned_6.jpg"));

Deno.test("once its drawer has ended a server refuses all requests for that alone, and tells what it offered", async () => {
  const drawer = await Drawer.open({ models: [{ name: "emoji", path: emoji }] });
  await using served = new Served(drawer);
  const told = ["/v1/models", "/v1/offers", "/sdapi/v1/sd-models", "/sdapi/v1/options"];
  const tell = () => Promise.all(told.map(async (path) => (await served.call("GET", path)).json));
  await drawer.draw({ prompt: "a nice flower", size: { width: 32, height: 32 }, steps: 2 });
  const offered = await tell();
  await drawer[Symbol.asyncDispose]();
  assert.deepEqual(await tell(), offered);

  const { prompt, steps } = flower;
  const old = { prompt, steps, width: 32, height: 32 };
  const ways: Record<string, object> = {
    "/v1/jobs": flower,
    "/v1/profiles": flower,
    "/v1/images/generations": flower,
    "/sdapi/v1/txt2img": { ...old, clip_skip: 1, enable_hr: true, hr_scale: 2 },
    "/sdapi/v1/img2img": { ...old, init_images: [photo.toBase64()] },
    "/sdapi/v1/unload-checkpoint": {},
  };
  for (const [path, body] of Object.entries(ways)) {
    const { status, json } = await served.call("POST", path, body);
    assert.equal(status, 503, `${path}: ${JSON.stringify(json)}`);
    assert.match(JSON.stringify(json), /Cannot draw: the server ends; try again later/);
  }
  const form = new FormData();
  for (const [name, value] of Object.entries(flower)) form.set(name, String(value));
  form.set("image", new Blob([photo]), "photo.jpg");
  const edited = await fetch(`${served.address}/v1/images/edits`, { method: "POST", body: form });
  assert.equal(edited.status, 503, await edited.text());
});
