import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Drawer, type HandlerOptions, readRequest } from "denoise/serve";
import { decodePng, encodePng } from "../../../src/io/images/png.ts";
import { BrowserPage, findChromium, type Look } from "../../support/browser.ts";
import { emoji } from "../../support/emoji.ts";
import { fixture } from "../../support/fixtures.ts";
import { Served } from "../../support/served.ts";

const chromium = findChromium();
if (!chromium) console.log("skipped: tests of the server's page, as there is no Chromium in PATH");

const WIDE: Look = { width: 1280, height: 900 };
const folder = join(import.meta.dirname!, "../../../scripts/serve/page");

let drawer: Drawer;
Deno.test.beforeAll(async () => {
  drawer = await Drawer.open({
    models: [{ name: "emoji", path: emoji }, { name: "flux", path: fixture("flux/pipeline") }, {
      name: "klein",
      path: fixture("flux2/pipeline"),
    }],
    loras: [{ name: "style", path: fixture("flux/lora/kohya.safetensors") }],
    limits: { pixels: 128 * 128 },
  });
});
Deno.test.afterAll(() => drawer[Symbol.asyncDispose]());

interface Opened {
  readonly page: BrowserPage;
  readonly served: Served;
}

/** A test of the page in a browser that has never seen it. `fails` are answers of the server that the browser's console may name. */
function pageTest(
  name: string,
  use: (opened: Opened) => Promise<void>,
  { fails = /^$/, ...options }: HandlerOptions & { fails?: RegExp } = {},
): void {
  Deno.test({
    name,
    ignore: !chromium,
    fn: async () => {
      await using served = new Served(drawer, options);
      await using page = await BrowserPage.open(chromium!, `${served.address}/`, WIDE);
      if (options.key === undefined) await page.until(READY);
      await use({ page, served });
      assert.deepEqual(page.messages.filter((message) => !fails.test(message)), []);
      const others = page.requests.filter((address) =>
        !new RegExp(`^(${served.address}/|blob:${served.address}/|data:)`).test(address)
      );
      assert.deepEqual(others, []);
    },
  });
}

const READY = `document.querySelector("#draw")?.disabled === false`;
const text = (selector: string) => `document.querySelector(${JSON.stringify(selector)}).textContent`;
const visible = (selector: string) => `document.querySelector(${JSON.stringify(selector)}).checkVisibility()`;
const CARDS = `document.querySelectorAll("#cards li").length`;

/** Writes into fields, by their ids. */
async function fill(page: BrowserPage, values: Record<string, string | number>): Promise<void> {
  for (const [id, value] of Object.entries(values)) {
    await page.value(`{
      const field = document.querySelector("#${id}");
      field.value = ${JSON.stringify(String(value))};
      for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind, { bubbles: true }));
    }`);
  }
}

const flower = { prompt: "a nice flower", width: 32, height: 32, steps: 4, seed: 3 };

/** Draws, and waits for the end. */
async function draw(page: BrowserPage, values: Record<string, string | number> = flower): Promise<void> {
  await fill(page, values);
  await page.click("#draw");
  await page.until(READY, 60);
}

/** The pictures that the browser keeps, the newest last: their requests, and their files in base64. */
// deno-lint-ignore no-explicit-any -- what a test expects of it
async function kept(page: BrowserPage): Promise<any[]> {
  return await page.value(`(async () => {
    const base64Of = async (file) => new Uint8Array(await file.arrayBuffer()).toBase64();
    const opening = indexedDB.open("denoise");
    await new Promise((done) => opening.onsuccess = done);
    const all = opening.result.transaction("pictures").objectStore("pictures").getAll();
    await new Promise((done) => all.onsuccess = done);
    opening.result.close();
    return await Promise.all(all.result.map(async ({ request, png }) => {
      const { image, mask } = request;
      const files = {
        image: Array.isArray(image) ? await Promise.all(image.map(base64Of)) : image && await base64Of(image),
        mask: mask && await base64Of(mask),
      };
      return { request: { ...request, ...files }, png: await base64Of(png) };
    }));
  })()`);
}

/** What the server draws of a request in JSON, in base64. */
async function drawn(request: object): Promise<string> {
  const { pictures: [picture] } = await drawer.draw(readRequest(request));
  return picture!.png.toBase64();
}

Deno.test("the page's files are all served, without types, and make no HTML of texts", async () => {
  await using served = new Served(drawer);
  const get = async (path: string) => {
    const response = await fetch(served.address + path);
    return { type: response.headers.get("content-type"), body: await response.text(), response };
  };
  const html = await get("/");
  assert.equal(html.type, "text/html; charset=utf-8");
  assert.match(
    html.response.headers.get("content-security-policy")!,
    /default-src 'none'; script-src 'self';/,
  );
  assert.doesNotMatch(html.body, /style="|\son\w+="|https?:/);
  for (const { name } of Deno.readDirSync(folder)) {
    if (name.endsWith(".html")) continue;
    const { type, body, response } = await get(`/page/${name}`);
    assert.equal(response.status, 200, name);
    if (name.endsWith(".css")) continue;
    assert.equal(type, "text/javascript; charset=utf-8");
    assert.doesNotMatch(
      body,
      /^import type|^interface |innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/m,
    );
  }
  const none = await fetch(`${served.address}/page/none.ts`);
  assert.deepEqual([none.status, await none.text()], [404, "Cannot find /page/none.ts: no such path"]);
});

Deno.test("/v1/offers tells what requests may say", async () => {
  await using served = new Served(drawer);
  const { json: { models: [own, flux], loras, limits } } = await served.call("GET", "/v1/offers");
  const { schedulers, settings, ...rest } = own;
  const size = { width: 64, height: 64 };
  const { additions, ...told } = rest;
  assert.deepEqual(told, {
    name: "emoji",
    pipeline: "StableDiffusionPipeline",
    size,
    images: 1,
    caches: ["easy"],
    multiple: 4,
    steps: 25,
  });
  assert.deepEqual(additions.lora, ["style"]);
  assert.ok(["prompt", "negative", "image", "strength", "mask"].every((name) => settings.includes(name)));
  assert.ok(!settings.includes("true-cfg") && flux.settings.includes("true-cfg"));
  assert.ok(schedulers.includes("Euler") && schedulers.includes("DPM++ 2M Karras"));
  assert.ok(flux.schedulers.includes("Euler") && !flux.schedulers.includes("TCD"));
  assert.deepEqual([loras, limits.pixels], [["style"], 128 * 128]);
});

pageTest(
  "a picture is drawn with previews, and kept with a request that draws the same bytes",
  async ({ page }) => {
    await page.value(`{
    window.previews = 0;
    new MutationObserver(() => document.querySelector("#shown").src.startsWith("data:") && window.previews++)
      .observe(document.querySelector("#shown"), { attributeFilter: ["src"] });
  }`);
    await draw(page);
    assert.ok(await page.value<number>("window.previews") >= 2);
    const [{ request, png }, ...none] = await kept(page);
    assert.deepEqual(none, []);
    assert.deepEqual(request, {
      model: "emoji",
      prompt: "a nice flower",
      size: "32x32",
      steps: 4,
      seed: "3",
    });
    assert.equal(png, await drawn(request));
    assert.equal(await page.value(text("#about-facts")), "emoji · 32 × 32 · 4 steps · seed 3");
    assert.equal(await page.value(`document.querySelector("#shown").naturalWidth`), 32);
    assert.equal(await page.value(`document.querySelector("#save").download`), "denoise-3.png");
  },
);

pageTest("pictures stay when the page is opened again, and draw the same bytes again", async ({ page }) => {
  await draw(page, { ...flower, scheduler: "Euler a", guidance: 3, negative: "a cat", count: 2 });
  assert.deepEqual((await kept(page)).map(({ request }) => request.seed), ["3", "4"]);
  await page.reload();
  await page.until(`${READY} && ${CARDS} === 2`);
  await page.click("#cards li:last-child button");
  assert.match(await page.value(text("#about-facts")), /seed 3$/);
  assert.equal(
    await page.value(`document.querySelectorAll("#cards [aria-pressed=true]").length`),
    1,
  );
  await page.click("#replay");
  await page.until(`${text("#told")}.startsWith("Drawn again: the same picture, byte for byte.")`, 60);
  assert.equal(await page.value(CARDS), 2);

  await page.click("#use-settings");
  await page.until(`document.activeElement.id === "prompt"`);
  const read = (id: string) => page.value(`document.querySelector("#${id}").value`);
  for (
    const [id, value] of Object.entries({
      ...{ prompt: "a nice flower", negative: "a cat", scheduler: "Euler a", guidance: "3", steps: "4" },
      ...{ seed: "3", width: "32", height: "32", count: "" },
    })
  ) {
    assert.equal(await read(id), value, id);
  }
  await page.click("#delete");
  await page.until(`${CARDS} === 1`);
  assert.deepEqual((await kept(page)).map(({ request }) => request.seed), ["4"]);
  assert.equal(await page.value(visible("#shown")), false);
});

pageTest("a picture is cancelled within a step; the next is drawn", async ({ page, served }) => {
  await draw(page);
  await fill(page, { steps: 150, count: 3 });
  await page.click("#draw");
  await page.until(`${text("#step")}.startsWith("Step 5")`, 60);
  assert.equal(await page.value("document.activeElement.id"), "cancel");
  const start = performance.now();
  await page.press("Enter");
  await page.until(READY);
  assert.ok(performance.now() - start < 1500, `${performance.now() - start} ms`);
  assert.equal(await page.value(text("#told")), "Cancelled.");
  assert.equal(await page.value("document.activeElement.id"), "draw");
  assert.equal(await page.value(visible("#replay")), true); // the picture before is shown again
  while (drawer.busy) await new Promise((done) => setTimeout(done, 20));

  await page.click("#draw");
  await page.until(`${text("#step")}.startsWith("Step 5")`, 60);
  const job = page.requests.findLast((address) => address.endsWith("/events"))!.slice(
    served.address.length,
    -7,
  );
  await served.call("DELETE", job);
  await page.until(READY);
  assert.equal(await page.value(text("#error")), "Another client has cancelled the picture");
  await draw(page, { steps: 2, count: "" });
  assert.equal(await page.value(CARDS), 2);
});

pageTest("a picture for which the browser has no room is shown, and can be saved", async ({ page }) => {
  await page.value(`{
    const { add } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.add = function (...values) {
      const adding = add.apply(this, values);
      adding.addEventListener("success", () => this.transaction.abort());
      return adding;
    };
  }`);
  await draw(page);
  assert.match(
    await page.value(text("#error")),
    /^Cannot keep the picture: this browser has no room for it;/,
  );
  assert.match(await page.value(`document.querySelector("#save").href`), /^blob:/);
  assert.deepEqual([await page.value(visible("#shown")), await page.value(CARDS)], [true, 0]);
}, { fails: /Cannot keep the picture/ });

pageTest("a page that is left ends what is drawn for it", async ({ page }) => {
  await fill(page, { ...flower, steps: 150 });
  await page.click("#draw");
  await page.until(`${text("#step")}.startsWith("Step 3")`, 60);
  await page.reload();
  await page.until(READY);
  for (let i = 0; drawer.busy; i++) {
    assert.ok(i < 100);
    await new Promise((done) => setTimeout(done, 20));
  }
});

pageTest("a mask is painted with a pointer and with keys, and goes with the picture", async ({ page }) => {
  await draw(page, { ...flower, width: 64, height: 64 });
  await page.click("#use-picture");
  await page.until(visible("#mask-open"));
  await page.click("#mask-open");
  await page.until(visible("#mask-canvas"));
  const side = await page.value<number>(`document.querySelector("#mask-canvas").clientWidth`);
  const at = (x: number, y: number) => ({ x: x / 64 * side, y: y / 64 * side });
  await page.drag("#mask-canvas", at(10, 10), at(40, 0));
  await page.drag("#mask-canvas", at(10, 30), at(40, 0));
  await page.click("#mask-undo");
  await page.click("#mask-canvas", at(32, 50));
  await page.press("ArrowRight", { shift: true });
  await page.press("ArrowRight", { shift: true });
  for (let i = 0; i < 4; i++) await page.press("ArrowUp");
  await page.press(" ");
  await page.click("[value=eraser]");
  await page.click("#mask-canvas", at(10, 10));
  await page.click("#mask-done");
  await page.until(`${text("#mask-open")} === "Change the mask"`);
  await draw(page, { prompt: "a red apple", steps: 4, strength: 0.8 });

  const [first, { request, png }] = await kept(page);
  assert.deepEqual(
    decodePng(Uint8Array.fromBase64(request.image), "image").data,
    decodePng(Uint8Array.fromBase64(first.png), "first").data,
  );
  const mask = decodePng(Uint8Array.fromBase64(request.mask), "mask");
  assert.deepEqual([mask.width, mask.height], [64, 64]);
  const white = (x: number, y: number) => mask.data[4 * (64 * y + x)]!;
  for (const [x, y] of [[30, 10], [50, 10], [32, 50], [39, 50], [40, 35]]) {
    assert.equal(white(x!, y!), 255, `${x} ${y}`);
  }
  for (const [x, y] of [[10, 10], [30, 30], [60, 60], [40, 42]]) assert.equal(white(x!, y!), 0, `${x} ${y}`);
  assert.ok(mask.data.every((value, i) => i % 4 < 3 || value === 255));
  assert.equal(png, await drawn(request));
  assert.match(await page.value(text("#about-facts")), /a picture with a mask · strength 0\.8/);

  await page.click("#picture-remove"); // and the settings of the picture bring both back
  await page.click("#use-settings");
  await page.until(`${text("#mask-open")} === "Change the mask"`);
  await page.click("#replay");
  await page.until(`${text("#told")}.includes("byte for byte")`, 60);
});

pageTest(
  "a picture is chosen from a file, and made smaller where it is larger than the server takes",
  async ({ page }) => {
    const choose = (name: string, width: number, height: number) =>
      page.value(`(async () => {
      const canvas = Object.assign(document.createElement("canvas"), { width: ${width}, height: ${height} });
      canvas.getContext("2d").fillRect(0, 0, 9, 9);
      const blob = ${width} && await new Promise((done) => canvas.toBlob(done));
      const data = new DataTransfer();
      data.items.add(new File([blob || "no picture"], ${JSON.stringify(name)}));
      const field = document.querySelector("#picture-file");
      field.files = data.files;
      field.dispatchEvent(new Event("change"));
    })()`);
    await choose("notes.png", 0, 0);
    await page.until(`${text("#error")} === "Cannot read the picture: expected a PNG, JPEG or WebP"`);
    await choose("large.png", 400, 200);
    await page.until(visible("#picture-shown"));
    assert.equal(await page.value(text("#error")), "");
    const sides =
      `[document.querySelector("#picture-shown").width, document.querySelector("#picture-shown").height]`;
    assert.deepEqual(await page.value(sides), [181, 90]); // within 128 x 128 pixels
    const sizes = `[document.querySelector("#width").value, document.querySelector("#height").value]`;
    assert.deepEqual(await page.value(sizes), ["92", "44"]); // as many as 64 x 64, in multiples of 4
    await page.click("#picture-remove");
    assert.deepEqual(await page.value(sizes), ["", ""]);
    assert.equal(await page.value("document.activeElement.id"), "picture-file");
  },
  { fails: /TypeError: Cannot read the picture/ },
);

pageTest("the settings are those of the model, with LoRAs and their scales", async ({ page }) => {
  assert.equal(await page.value(visible("#negative")), true);
  assert.equal(await page.value(visible("#true-cfg")), false);
  assert.equal(await page.value(`document.querySelector("#width").placeholder`), "64");
  await fill(page, { model: "flux" });
  assert.equal(await page.value(visible("#negative")), true);
  await page.click("#lora-add");
  await page.click("#lora-add"); // once only
  await page.value(`document.querySelector("#lora-list input").value = "0.5"`);
  await draw(page, { ...flower, steps: 1 });
  const [{ request, png }] = await kept(page);
  assert.deepEqual([request.model, request.lora], ["flux", ["style:0.5"]]);
  assert.equal(png, await drawn(request));
  await page.click("#lora-list button");
  assert.equal(await page.value(`document.querySelectorAll("#lora-list li").length`), 0);
  await page.click("#use-settings");
  await page.until(`document.querySelector("#lora-list input")?.value === "0.5"`);
});

pageTest(
  "what is wrong is said where it is: by the browser, by the server, and where that is gone",
  async ({ page, served }) => {
    await page.value(`document.querySelector("#settings").open = false`);
    await fill(page, { ...flower, width: 33 });
    await page.click("#draw");
    assert.deepEqual(
      await page.value(
        `[document.querySelector("#settings").open, document.querySelector("#width").validity.stepMismatch]`,
      ),
      [true, true],
    );
    await page.value(`document.querySelector("#settings").open = false`);
    await draw(page, { width: 256, height: 256 });
    assert.equal(
      await page.value(text("#error")),
      "Cannot take size 256x256: expected at most 16384 pixels, got 65536",
    );
    assert.equal(
      await page.value("document.activeElement.id + document.activeElement.ariaInvalid"),
      "widthtrue",
    );
    assert.equal(await page.value(visible("#width")), true);
    await draw(page, { width: 32, height: 32 });
    assert.deepEqual(await page.value(`[${text("#error")}, document.querySelector("#width").ariaInvalid]`), [
      "",
      null,
    ]);
    await served[Symbol.asyncDispose]();
    await draw(page);
    assert.equal(await page.value(text("#error")), "Cannot reach the server; is it still there?");
  },
  { fails: /status of 400|ERR_CONNECTION_REFUSED/ },
);

pageTest("a server with a key asks for it, and again after a wrong one", async ({ page }) => {
  await page.until(visible("#key-text"));
  const say = async (key: string) => {
    await page.value(`document.querySelector("#key-text").focus()`);
    await page.type(key);
    await page.press("Enter");
  };
  await say("wrong");
  await page.until(`${text("#key-why")} === "The server does not take this key."`);
  await page.press("Escape");
  assert.equal(await page.value(visible("#key-text")), true);
  await say("right");
  await page.until(READY);
  await draw(page);
  assert.equal(await page.value(CARDS), 1);
  await page.reload();
  await page.until(`${READY} && !document.querySelector("#key").open`);
}, { key: "right", fails: /status of 401/ });

pageTest("keys alone draw, and take a picture of the gallery", async ({ page }) => {
  await fill(page, { ...flower, prompt: "" });
  await page.value(`document.querySelector("#prompt").focus()`);
  await page.type("a red apple");
  await page.press("Enter", { ctrl: true });
  await page.until(`${READY} && ${CARDS} === 1`, 60);
  await draw(page, { seed: 5 });
  await page.value(`document.querySelector("#cards li:last-child button").focus()`);
  await page.press("Enter");
  assert.match(await page.value(text("#about-facts")), /seed 3$/);
});

/** Drops files on the page; bytes in base64. */
async function drop(page: BrowserPage, name: string, ...files: readonly string[]): Promise<void> {
  await page.value(`{
    const data = new DataTransfer();
    for (const file of ${JSON.stringify(files)}) {
      data.items.add(new File([Uint8Array.fromBase64(file)], ${JSON.stringify(name)}, { type: "image/png" }));
    }
    dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
  }`);
}

/** The first picture that the browser keeps, in base64. */
async function firstPng(page: BrowserPage): Promise<string> {
  return (await kept(page))[0].png;
}

/** Opens a part of the form. */
async function open(page: BrowserPage, id: string): Promise<void> {
  await page.value(`document.querySelector("#${id}").open = true`);
}

const valuesOf = (...ids: readonly string[]) =>
  `${JSON.stringify(ids)}.map((id) => document.getElementById(id).value)`;

pageTest("a step is profiled, and its report opens by itself", async ({ page, served }) => {
  await fill(page, flower);
  await open(page, "more-settings");
  await page.click("#profile");
  await page.until(`${text("#step")} === "Measuring a step"`, 60);
  assert.equal(await page.value("document.activeElement.id"), "cancel");
  await page.until(READY, 60);
  assert.match(await page.value(text("#told")), /^A step takes \d[\d.]* m?s: .*bound.*\.$/);
  const address = await page.value<string>(`document.querySelector("#report-link").href`);
  assert.ok(address.startsWith(`${served.address}/profiles/`));
  {
    await using report = await BrowserPage.open(chromium!, address, WIDE);
    await report.until(`document.querySelector(".flame button")`);
    assert.match(await report.value(text("h1")), /^StableDiffusionPipeline emoji/);
    await report.click("#table tbody tr");
    await report.until(visible("#details"));
    assert.deepEqual(report.messages, []);
    assert.deepEqual(report.requests, [address]);
    assert.equal(await report.value("origin"), "null"); // it cannot speak for the server's page
  }
  await page.click("#profile");
  await page.until(`${text("#step")} === "Measuring a step"`, 60);
  assert.equal(await page.value(visible("#report-link")), false);
  await page.click("#cancel");
  await page.until(READY);
  assert.equal(await page.value(text("#told")), "Cancelled.");
  await fill(page, { width: 256, height: 256 });
  await page.click("#profile");
  await page.until(
    `${text("#error")} === "Cannot take size 256x256: expected at most 16384 pixels, got 65536"`,
  );
}, { fails: /status of 400/ });

pageTest("rare settings are those that the model takes, and come back with a picture", async ({ page }) => {
  await open(page, "more-settings");
  const shown = ["prompt-syntax", "pag", "clip-skip", "cache", "true-cfg", "max-sequence-length"];
  const states = `${JSON.stringify(shown)}.map((id) => document.getElementById(id).checkVisibility())`;
  assert.deepEqual(await page.value(states), [true, true, true, true, false, false]);
  const kinds = `[...document.querySelector("#cache").options].map(({ value }) => value)`;
  assert.deepEqual(await page.value(kinds), ["", "easy"]);
  const rare = { "prompt-syntax": "a1111", pag: 2, "clip-skip": 1, cache: "easy", "cache-threshold": 0.3 };
  await draw(page, { ...flower, prompt: "a (nice:1.3) flower", ...rare });
  assert.equal(await page.value(text("#error")), "");
  const [{ request, png }] = await kept(page);
  const { "prompt-syntax": syntax, pag, "clip-skip": skip, cache } = request;
  assert.deepEqual([syntax, pag, skip, cache], ["a1111", 2, 1, "easy:0.3"]);
  assert.equal(png, await drawn(request));
  assert.match(
    await page.value(text("#about-facts")),
    /perturbed attention 2 · CLIP skip 1 · step cache easy:0\.3/,
  );
  await fill(page, Object.fromEntries(Object.keys(rare).map((id) => [id, ""])));
  await page.value(`document.querySelector("#more-settings").open = false`);
  await page.click("#use-settings");
  await page.until(visible("#pag"));
  assert.deepEqual(await page.value(valuesOf(...Object.keys(rare))), ["a1111", "2", "1", "easy", "0.3"]);
  await fill(page, { model: "flux", pag: -1 }); // which it does not take, so that nobody checks it
  assert.deepEqual(await page.value(states), [false, false, false, true, true, true]);
  assert.deepEqual(await page.value(kinds), ["", "first-block", "tea", "easy"]);
  await draw(page, { ...flower, "true-cfg": 2, "max-sequence-length": 32, steps: 1 });
  const [, second] = await kept(page);
  assert.deepEqual([second.request["true-cfg"], second.request["max-sequence-length"]], [2, 32]);
});

pageTest("several pictures that a prompt is about go with it in their order", async ({ page }) => {
  for (const seed of [3, 4]) await draw(page, { ...flower, width: 64, height: 64, seed });
  await draw(page, flower);
  const [one, two, small] = (await kept(page)).map(({ png }) => png);
  await fill(page, { model: "klein" });
  await drop(page, "small.png", small);
  await page.until(`document.querySelector("#found").open`);
  await page.click("#found-change");
  await page.until(`document.querySelectorAll("#references li").length === 1`);
  await draw(page, { ...flower, steps: 1 });
  assert.match(
    await page.value(text("#error")),
    /^Cannot refer to a picture of 32x32: expected sides from 64/,
  );
  await page.click("#references button");
  assert.equal(await page.value(text("#picture-title")), "Pictures that the prompt is about");
  for (const [i, png] of [one, two, one].entries()) {
    await drop(page, "some.png", png);
    await page.until(`document.querySelector("#found").open`);
    await page.click("#found-change");
    await page.until(`document.querySelectorAll("#references li").length === ${i + 1}`);
  }
  await page.click("#references li:first-child button");
  assert.deepEqual(
    await page.value(`[...document.querySelectorAll("#references .name")].map((name) => name.textContent)`),
    ["1", "2"],
  );
  await draw(page, { ...flower, prompt: "both", steps: 1 });
  assert.equal(await page.value(text("#error")), "");
  const { request, png } = (await kept(page)).at(-1);
  const dataOf = (file: string) => decodePng(Uint8Array.fromBase64(file), "picture").data;
  assert.deepEqual(request.image.map(dataOf), [two, one].map(dataOf));
  assert.equal(png, await drawn(request));
  await page.click("#references button");
  await page.click("#use-settings");
  await page.until(`document.querySelectorAll("#references li").length === 2`);
  await fill(page, { model: "emoji" });
  assert.equal(await page.value(visible("#references li")), false);
}, { fails: /status of 400/ });

pageTest(
  "a PNG that is dropped gives its settings, or its picture; one without settings is taken at once",
  async ({ page }) => {
    await draw(page, { ...flower, negative: "a cat", pag: 2, guidance: 3, scheduler: "Euler a" });
    const png = await firstPng(page);
    await fill(page, { prompt: "", negative: "", pag: "", guidance: "", scheduler: "", seed: "", steps: "" });
    await drop(page, "own.png", png);
    await page.until(`document.querySelector("#found").open`);
    assert.equal(await page.value(text("#found-prompt")), "a nice flower");
    await page.press("Escape");
    await page.until(`!document.querySelector("#found").open`);
    assert.equal(await page.value(`document.querySelector("#prompt").value`), "");
    await drop(page, "own.png", png);
    await page.until(`document.querySelector("#found").open`);
    await page.click("#found-use");
    await page.until(`document.querySelector("#prompt").value === "a nice flower"`);
    assert.deepEqual(
      await page.value(valuesOf("negative", "pag", "guidance", "scheduler", "seed", "steps", "width")),
      [
        ...["a cat", "2", "3", "Euler a", "3", "4", "32"],
      ],
    );
    await draw(page, {});
    const [first, again] = await kept(page);
    assert.equal(again.png, first.png);

    const infotext = "a <lora:style:0.5> (red:1.2) apple\nNegative prompt: blue\n" +
      "Steps: 5, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 4, Seed: 18446744073709551615, Size: 32x40, Model: other";
    const bytes = Uint8Array.fromBase64(png);
    const { width, height, data } = decodePng(bytes, "own");
    const image = { width, height, channels: 4, data } as const;
    await drop(page, "a1111.png", encodePng(image, { parameters: infotext }).toBase64());
    await page.until(`document.querySelector("#found").open`);
    await page.click("#found-use");
    await page.until(`document.querySelector("#prompt").value === "a  (red:1.2) apple"`);
    assert.deepEqual(
      await page.value(
        valuesOf("negative", "guidance", "scheduler", "seed", "steps", "width", "height", "prompt-syntax"),
      ),
      [
        ...["blue", "4", "DPM++ 2M Karras", "18446744073709551615", "5", "32", "40", "a1111"],
      ],
    );
    assert.equal(await page.value(`document.querySelector("#lora-list input").value`), "0.5");
    assert.equal(
      await page.value(text("#told")),
      "The form has its settings. This server does not offer the model other.",
    );

    await drop(page, "plain.png", encodePng(image).toBase64());
    await page.until(visible("#picture-shown"));
    const hostile = JSON.stringify({ prompt: 5, lora: "style", steps: "<b>", seed: [], negative: "kept" });
    await drop(page, "hostile.png", encodePng(image, { denoise: hostile }).toBase64());
    await page.until(`document.querySelector("#found").open`);
    await page.click("#found-use");
    await page.until(`document.querySelector("#negative").value === "kept"`);
    assert.deepEqual(await page.value(valuesOf("prompt", "steps", "seed")), ["", "", ""]);
  },
);

pageTest(
  "of two pictures that are dropped the later one stays, though the first is read more slowly",
  async ({ page }) => {
    await page.value(`{
    const read = createImageBitmap;
    let turn = 0;
    window.createImageBitmap = async (file) => {
      const picture = await read(file);
      if (turn++ === 0) await new Promise((done) => setTimeout(done, 300));
      return picture;
    };
  }`);
    const png = (side: number) => {
      const data = new Uint8Array(4 * side * side).fill(255);
      return encodePng({ width: side, height: side, channels: 4, data }).toBase64();
    };
    await drop(page, "slow.png", png(40));
    await drop(page, "quick.png", png(24));
    await new Promise((done) => setTimeout(done, 600));
    assert.equal(await page.value(`document.querySelector("#picture-shown").width`), 24);
  },
);

pageTest(
  "a browser that stores nothing draws all the same, and says that nothing is kept",
  async ({ page }) => {
    await page.runBefore(`indexedDB.open = () => { throw new DOMException("refused", "SecurityError"); };`);
    await page.reload();
    await page.until(READY);
    for (const seed of [3, 4]) await draw(page, { ...flower, seed });
    assert.equal(await page.value(text("#error")), "");
    assert.equal(await page.value(CARDS), 2);
    assert.match(await page.value(text("#kept")), /^Kept until this page is closed:/);
    await page.click("#delete");
    await page.until(`${CARDS} === 1`);
    await page.click("#cards button");
    assert.match(await page.value(text("#about-facts")), /seed 3$/);
  },
);

/** Breaks of axe's rules in what is shown now. */
async function breaks(page: BrowserPage): Promise<string[]> {
  return await page.value(`axe.run({ resultTypes: ["violations"] }).then(({ violations }) =>
    violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => [id, target, failureSummary].join(" "))))`);
}

pageTest(
  "axe finds nothing, and nothing is wider than the window, in any state, light and dark",
  async ({ page }) => {
    const axe = join(dirname(fileURLToPath(import.meta.resolve("axe-core"))), "axe.min.js");
    await page.value(await Deno.readTextFile(axe));
    const look = async (what: string) => {
      for (const scheme of ["light", "dark"] as const) {
        for (const width of [1280, 400]) {
          await page.show({ width, height: 800, scheme });
          assert.deepEqual(await breaks(page), [], `${what}, ${scheme}, ${width}`);
          const [inner, whole] = await page.value<[number, number]>(
            "[innerWidth, document.documentElement.scrollWidth]",
          );
          assert.deepEqual([inner, whole], [width, width], what);
        }
      }
      await page.show(WIDE);
    };
    await look("empty");
    await draw(page, { ...flower, prompt: "a".repeat(300) });
    await look("with a picture");
    await page.click("#use-picture");
    await page.until(visible("#mask-open"));
    await open(page, "more-settings");
    await look("with rare settings");
    await fill(page, { model: "flux" });
    await page.click("#lora-add");
    await look("with all settings");
    await page.click("#lora-list button");
    await fill(page, { model: "klein" });
    await page.click("#picture-remove");
    await drop(page, "one.png", await firstPng(page));
    await page.until(`document.querySelector("#found").open`);
    await look("asked what a picture came for");
    await page.click("#found-change");
    await page.until(`document.querySelectorAll("#references li").length === 1`);
    await look("with a picture that the prompt is about");
    await fill(page, { model: "emoji" });
    await page.click("#use-picture");
    await page.until(visible("#mask-open"));
    await page.click("#mask-open");
    await page.drag("#mask-canvas", undefined, { x: 30, y: 30 });
    await look("with a mask");
    await page.click("#mask-done");
    await draw(page, { width: 256, height: 256, strength: 0.5 });
    assert.notEqual(await page.value(text("#error")), "");
    await look("with an error");
    await fill(page, { width: 32, height: 32, steps: 150 });
    await page.click("#draw");
    await page.until(`${text("#step")}.startsWith("Step 3")`, 60);
    await look("while it draws");
    await page.click("#cancel");
    await page.until(READY);
    await page.value(`document.querySelector("#key").showModal()`);
    await look("asked for a key");
  },
  { fails: /status of 400/ },
);
