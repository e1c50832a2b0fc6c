import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Drawer } from "denoise/serve";
import { decodePng } from "../../../../src/io/images/png.ts";
import { emoji } from "../../../support/emoji.ts";
import { Endings } from "../../../support/endings.ts";
import { fixture } from "../../../support/fixtures.ts";
import { Served } from "../../../support/served.ts";
import {
  breaks,
  CARDS,
  draw,
  drawnBy,
  drop,
  fill,
  firstPng,
  flower,
  HAS_BEGUN,
  kept,
  openPart,
  pageTestOf,
  type PageTestOptions,
  READY,
  text,
  type UsePage,
  visible,
  WIDE,
} from "../../../support/server_page.ts";

const folder = join(import.meta.dirname!, "../../../../scripts/serve/page");

let drawer: Drawer;
Deno.test.beforeAll(async () => {
  drawer = await Drawer.open({
    models: [{ name: "emoji", path: emoji }, { name: "flux", path: fixture("flux/pipeline") }, {
      name: "klein",
      path: fixture("flux2/pipeline"),
    }],
    lora: [{ name: "style", path: fixture("flux/lora/kohya.safetensors") }],
    limits: { pixels: 128 * 128 },
  });
});
Deno.test.afterAll(() => drawer[Symbol.asyncDispose]());
const pageTest = (name: string, use: UsePage, options?: PageTestOptions) =>
  pageTestOf(() => drawer, name, use, options);
const drawn = (request: object) => drawnBy(drawer, request);

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
  const { schedulers, settings, additions, ...told } = own;
  const size = { width: 64, height: 64 };
  assert.deepEqual(told, {
    name: "emoji",
    pipeline: "StableDiffusionPipeline",
    size,
    scheduler: "PNDMScheduler",
    images: 1,
    caches: ["easy"],
    multiple: 4,
    sidesWith: {},
    steps: 25,
  });
  assert.deepEqual([additions.lora, additions.vae, additions.controlnet], [[], [], []]);
  assert.deepEqual(flux.additions.lora, ["style"]); // which was made for it
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
    assert.match(await page.value(text("#about-facts")), /^emoji · 32 × 32 · 4 steps · seed 3 · \d[\d.]* s$/);
    assert.equal(await page.value(`document.querySelector("#shown").naturalWidth`), 32);
    assert.equal(
      await page.value(`/^denoise-3-\\d{8}-\\d{6}\\.png$/.test(document.querySelector("#save").download)`),
      true,
    );
  },
);

pageTest("pictures stay when the page is opened again, and draw the same bytes again", async ({ page }) => {
  await draw(page, { ...flower, scheduler: "Euler a", guidance: 3, negative: "a cat", count: 2 });
  assert.deepEqual((await kept(page)).map(({ request }) => request.seed), ["3", "4"]);
  await page.reload();
  await page.until(`${READY} && ${CARDS} === 2`);
  await page.click("#cards li:last-child button");
  assert.match(await page.value(text("#about-facts")), /seed 3 · /);
  assert.equal(
    await page.value(`document.querySelectorAll("#cards [aria-pressed=true]").length`),
    1,
  );
  await page.click("#replay");
  await page.until(`${text("#told")}.startsWith("Drawn again: the same picture, byte for byte.")`);
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
  using endings = new Endings(drawer);
  await draw(page);
  await fill(page, { steps: 150 });
  await page.click("#draw");
  await page.until(HAS_BEGUN);
  await page.value(`document.querySelector("#cancel").focus()`);
  await page.press("Enter");
  await page.until(READY);
  assert.equal(await page.value(text("#told")), "Cancelled.");
  assert.equal(await page.value("document.activeElement.id"), "draw");
  assert.equal(await page.value(visible("#replay")), true); // the picture before is shown again
  await endings.expectStopped();

  await page.click("#draw");
  await page.until(HAS_BEGUN);
  const job = page.requests.findLast((address) => address.endsWith("/events"))!.slice(
    served.address.length,
    -7,
  );
  await served.call("DELETE", job);
  await page.until(READY);
  await endings.expectStopped();
  assert.equal(await page.value(text("#error")), "Another client has cancelled the picture");
  await draw(page, { steps: 2 });
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
  using endings = new Endings(drawer);
  await fill(page, { ...flower, steps: 150 });
  await page.click("#draw");
  await page.until(HAS_BEGUN);
  await page.reload();
  await page.until(READY);
  await endings.expectStopped();
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
  await draw(page, { prompt: "a red apple", steps: 4, strength: 0.8, "mask-content": "fill" });

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
  assert.deepEqual([request["mask-blur"], request["mask-content"]], [4, "fill"]);
  assert.equal(png, await drawn(request));
  const [before, after] = [first.png, png].map((file) =>
    decodePng(Uint8Array.fromBase64(file), "picture").data
  );
  let changed = 0;
  for (let y = 0; y < 64; y++) {
    for (let x = 0; x < 64; x++) {
      const at = 4 * (64 * y + x);
      const isSame = [0, 1, 2].every((c) => before![at + c] === after![at + c]);
      if (x < 16 && y > 32) assert.ok(isSame, `${x} ${y}`); // nothing is painted within 10 pixels
      else if (!isSame) changed++;
    }
  }
  assert.ok(changed > 100, `${changed} pixels`);
  assert.match(await page.value(text("#about-facts")), /a picture with a mask · strength 0\.8/);

  await page.click("#picture-remove"); // and the settings of the picture bring both back
  await page.click("#use-settings");
  await page.until(`${text("#mask-open")} === "Change the mask"`);
  await page.click("#replay");
  await page.until(`${text("#told")}.includes("byte for byte")`);
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

pageTest(
  "on a phone an error is in sight beside its field, and Cancel beside the steps",
  async ({ page }) => {
    await page.show({ width: 400, height: 800 });
    await openPart(page, "settings");
    await draw(page);
    await fill(page, { ...flower, guidance: 1e9 });
    await page.value(`document.querySelector("#guidance").focus()`);
    await page.press("Enter");
    await page.until(`${text("#error")} !== ""`);
    const inSight = (id: string) =>
      `{
    const { top, bottom } = document.getElementById("${id}").getBoundingClientRect();
    top >= 0 && bottom <= innerHeight;
  }`;
    const edges = await page.value<number[]>(
      `["error", "guidance"].map((id) => document.getElementById(id).getBoundingClientRect()).flatMap(({ top, bottom }) => [top, bottom])`,
    );
    assert.ok(edges.every((at) => at >= 0 && at <= 800), edges.join());
    assert.ok(edges[1]! <= edges[2]!, `the error covers the field: ${edges}`);
    await fill(page, { guidance: "", steps: 150 });
    await page.click("#draw");
    await page.until(HAS_BEGUN);
    for (const id of ["cancel", "step"]) assert.equal(await page.value(inSight(id)), true, id);
    await page.click("#cancel");
    await page.until(READY);
  },
  { fails: /status of 400/ },
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
  for (let i = 0; i < 3; i++) await page.press("Escape"); // browsers heed only the first refusal to close
  await page.until(visible("#key-text")); // open again
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
  await page.value(`document.activeElement.dispatchEvent(
    new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, repeat: true, bubbles: true }))`);
  assert.equal(await page.value(visible("#working")), false); // as the key is held
  await page.press("Enter", { ctrl: true });
  await page.until(`${READY} && ${CARDS} === 1`);
  await draw(page, { seed: 5 });
  await page.value(`document.querySelector("#cards li:last-child button").focus()`);
  await page.press("Enter");
  assert.match(await page.value(text("#about-facts")), /seed 3 · /);
});

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
    await openPart(page, "more-settings");
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
    await page.until(HAS_BEGUN);
    await look("while it draws");
    for (let i = 0; i < 2; i++) await page.click("#draw");
    await page.until(`${text("#waiting-title")} === "2 wait"`);
    await look("while others wait");
    await page.click("#cards button");
    await look("while another is looked at");
    await page.click("#cancel-all");
    await page.until(READY);
    await page.value(`document.querySelector("#key").showModal()`);
    await look("asked for a key");
  },
  { fails: /status of 400/ },
);
