import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Drawer } from "denoise/serve";
import { decodePng, encodePng } from "../../../../src/io/images/png.ts";
import { BrowserPage } from "../../../support/browser.ts";
import { emoji } from "../../../support/emoji.ts";
import { fixture } from "../../../support/fixtures.ts";
import { CONTROLLED_WIDTH, controlledFolder, fluxFolder } from "../../../support/pipeline_folders.ts";
import { safetensorsOf } from "../../../support/raw_tensors.ts";
import {
  breaks,
  CARDS,
  chromium,
  draw,
  drawnBy,
  drop,
  fill,
  firstPng,
  flower,
  kept,
  openPart,
  pageTestOf,
  type PageTestOptions,
  READY,
  text,
  type UsePage,
  valuesOf,
  visible,
  WIDE,
} from "../../../support/server_page.ts";

const folder = Deno.makeTempDirSync({ prefix: "denoise-page-" });
const at = (name: string) => join(folder, name);
const [edges, second] = ["control", "second"].map((name) =>
  Deno.readFileSync(fixture(`controlnet/${name}.png`))
) as [Uint8Array, Uint8Array];

let drawer: Drawer;
Deno.test.beforeAll(async () => {
  await controlledFolder(at("sd"));
  await fluxFolder(at("canny"), "FluxControlPipeline", "flux_tools/transformer_control");
  const vectors = Float32Array.from({ length: 2 * CONTROLLED_WIDTH }, (_, i) => Math.sin(i));
  const learned = { dtype: "F32", shape: [2, CONTROLLED_WIDTH], bytes: new Uint8Array(vectors.buffer) };
  Deno.writeFileSync(at("cat.safetensors"), safetensorsOf(new Map([["<cat>", learned]])));
  const offer = (name: string, path: string) => ({ name, path });
  drawer = await Drawer.open({
    models: [
      offer("emoji", emoji),
      ...[offer("flux", fixture("flux/pipeline")), offer("klein", fixture("flux2/pipeline"))],
      ...[offer("sd", at("sd")), offer("canny", at("canny"))],
    ],
    lora: [offer("style", fixture("flux/lora/kohya.safetensors"))],
    vae: [offer("tiny", fixture("autoencoder_tiny/base"))],
    controlnet: [
      offer("edges", fixture("controlnet/controlnet")),
      offer("other", fixture("controlnet/controlnet_1")),
    ],
    "ip-adapter": [offer("ip", fixture("ip_adapter/full.safetensors"))],
    embedding: [offer("cat", at("cat.safetensors"))],
    limits: { pixels: 128 * 128 },
  });
});
Deno.test.afterAll(async () => {
  await drawer?.[Symbol.asyncDispose]();
  Deno.removeSync(folder, { recursive: true });
});
const pageTest = (name: string, use: UsePage, options?: PageTestOptions) =>
  pageTestOf(() => drawer, name, use, options);
const drawn = (request: object) => drawnBy(drawer, request);

pageTest("a step is profiled, and its report opens by itself", async ({ page, served }) => {
  await fill(page, flower);
  await openPart(page, "more-settings");
  await page.click("#profile");
  await page.until(`${text("#step")} === "Measuring a step"`);
  await page.until(READY);
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
  await page.until(`${text("#step")} === "Measuring a step"`);
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
  await openPart(page, "more-settings");
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

pageTest("second passes and variations come back with their pictures", async ({ page }) => {
  await openPart(page, "more-settings");
  const twice = {
    ...{ "hires": "64x48", "hires-upscaler": "lanczos", "hires-strength": 0.5, "hires-steps": 2 },
    ...{ "hires-scheduler": "Euler a", "hires-prompt": "a red apple", "hires-negative": "a cat" },
    "seed-size": "24x24",
  };
  await draw(page, { ...flower, ...twice, height: 24, variation: 0.3, count: 2 });
  assert.equal(await page.value(text("#error")), "");
  const [one, two] = await kept(page);
  assert.deepEqual(Object.entries(twice).map(([name]) => one.request[name]), Object.values(twice));
  const { data: _, ...sides } = decodePng(Uint8Array.fromBase64(one.png), "one");
  assert.deepEqual([sides.width, sides.height], [64, 48]);
  const [other, part] = one.request.variation.split(":");
  assert.deepEqual([one.request.seed, two.request.seed, part], ["3", "3", "0.3"]);
  assert.equal(two.request.variation, `${Number(other) + 1}:0.3`);
  assert.notEqual(one.png, two.png);
  assert.equal(one.png, await drawn(one.request));
  assert.match(
    await page.value(text("#about-facts")),
    /second pass 64 × 48 · seed 3 · variation \d+:0\.3 · noise of 24 × 24/,
  );

  const ids = [...Object.keys(twice), "variation", "variation-seed"];
  await page.reload();
  await page.until(READY);
  const said = Object.values(twice).map(String);
  assert.deepEqual(await page.value(valuesOf(...ids)), [...said, "0.3", ""]); // whose seed stays random
  await page.click("#cards button");
  await page.click("#use-settings");
  await page.until(visible("#hires"));
  const again = [...said, "0.3", String(Number(other) + 1)];
  assert.deepEqual(await page.value(valuesOf(...ids)), again);
  await fill(page, Object.fromEntries(ids.map((id) => [id, ""])));
  await drop(page, "own.png", two.png);
  await page.until(`document.querySelector("#found").open`);
  await page.click("#found-use");
  await page.until(`document.querySelector("#hires").value === "64x48"`);
  assert.deepEqual(await page.value(valuesOf(...ids)), again);

  await fill(page, { hires: "" }); // what belongs to it says nothing alone
  await draw(page, { variation: "" });
  assert.equal(await page.value(text("#error")), "");
  const { request } = (await kept(page)).at(-1);
  assert.deepEqual(Object.keys(request).filter((name) => /hires|variation/.test(name)), []);
  await draw(page, { hires: "66x30" });
  assert.match(await page.value(text("#error")), /66x30/);
  await fill(page, { model: "flux" });
  assert.equal(await page.value(visible("#hires")), true);
  await fill(page, { model: "klein" });
  assert.equal(await page.value(visible("#hires")), false);
  assert.equal(await page.value(visible("#variation")), true);
}, { fails: /status of 400/ });

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
      "Steps: 5, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 4, Seed: 18446744073709551615, Size: 32x40, " +
      "Model: other, Variation seed: 7, Variation seed strength: 0.3, Seed resize from: 24x24, Denoising strength: 0.6, " +
      'Hires sampler: Euler a, Hires prompt: "green, ripe", Hires upscale: 2, Hires steps: 3, ' +
      "Hires upscaler: Latent (bicubic antialiased)";
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
    const more = {
      ...{
        variation: "0.3",
        "variation-seed": "7",
        "seed-size": "24x24",
        hires: "64x80",
        "hires-steps": "3",
      },
      ...{ "hires-upscaler": "latent-bicubic-antialiased", "hires-strength": "0.6", "hires-negative": "" },
      ...{ "hires-scheduler": "Euler a Karras", "hires-prompt": "green, ripe" },
    };
    assert.deepEqual(await page.value(valuesOf(...Object.keys(more))), Object.values(more));
    assert.equal(
      await page.value(text("#told")), // the LoRA is for another model
      "The form has its settings. This server does not offer the model other or the LoRA style.",
    );

    await drop(page, "plain.png", encodePng(image).toBase64());
    await page.until(visible("#picture-shown"));
    const others = { maskContent: "0", strength: 0.5 }; // for which there is no field
    const wrong = { prompt: 5, lora: "style", steps: "<b>", seed: [], negative: "kept" };
    const hostile = JSON.stringify({ ...wrong, ...others });
    await drop(page, "hostile.png", encodePng(image, { denoise: hostile }).toBase64());
    await page.until(`document.querySelector("#found").open`);
    await page.click("#found-use");
    await page.until(`document.querySelector("#negative").value === "kept"`);
    assert.deepEqual(await page.value(valuesOf("prompt", "steps", "seed")), ["", "", ""]);
    assert.equal(
      await page.value(text("#told")),
      "The form has its settings. Not taken from the file: mask, strength.",
    );
  },
);

pageTest(
  "of two pictures that are dropped the later one stays, though the first is read more slowly",
  async ({ page }) => {
    await page.value(`{
    const read = createImageBitmap;
    window.createImageBitmap = async (file) => {
      const picture = await read(file);
      if (file.name === "slow.png") await new Promise((done) => window.letGo = done);
      return picture;
    };
  }`);
    const png = (side: number) => {
      const data = new Uint8Array(4 * side * side).fill(255);
      return encodePng({ width: side, height: side, channels: 4, data }).toBase64();
    };
    const width = `document.querySelector("#picture-shown").width`;
    await drop(page, "slow.png", png(40));
    await page.until("window.letGo");
    await drop(page, "quick.png", png(24));
    await page.until(`${width} === 24`);
    await page.value("letGo()");
    await new Promise((done) => setTimeout(done, 300)); // in which the first would come
    assert.equal(await page.value(width), 24);
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
    assert.match(await page.value(text("#about-facts")), /seed 3 · /);
  },
);

pageTest("pictures guide by what fits the model, and come back with it", async ({ page }) => {
  await fill(page, { model: "sd" });
  const offered = `[...document.querySelectorAll("#guide option")].map(({ value }) => value)`;
  assert.deepEqual(await page.value(offered), ["controlnet:edges", "controlnet:other", "ip-adapter:ip"]);
  await fill(page, { guide: "controlnet:edges" });
  await page.click("#guide-add");
  await fill(page, { ...flower, steps: 2 });
  await page.value(`document.querySelector("#settings").open = false`);
  await page.click("#draw"); // it has no picture yet, which the browser says
  assert.equal(await page.value(`document.querySelector("#guides input:invalid").type`), "file");
  assert.equal(await page.value(`document.querySelector("#settings").open`), true);
  assert.equal(await page.value(visible("#working")), false);
  const choose = async (row: number, file: Uint8Array) => {
    await page.value(`{
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.fromBase64("${file.toBase64()}")], "a.png", { type: "image/png" }));
      const field = document.querySelector("#guides li:nth-child(${row}) input[type=file]");
      field.files = data.files;
      field.dispatchEvent(new Event("change"));
    }`);
    await page.until(visible(`#guides li:nth-child(${row}) canvas`));
  };
  await choose(1, edges);
  await fill(page, { guide: "ip-adapter:ip" });
  await page.click("#guide-add");
  await choose(2, second);
  await page.value(`document.querySelector("#guides li:nth-child(1) .scale").value = "0.7"`);
  await openPart(page, "more-settings");
  await page.click("#embedding-add");
  await fill(page, { prompt: "a <cat> flower" });
  await page.click("#draw");
  await page.until(READY);
  assert.equal(await page.value(text("#error")), "");
  const [{ request, png }] = await kept(page);
  assert.deepEqual([request.controlnet, request["ip-adapter"], request.embedding], [
    ["edges:0.7"],
    ["ip:1"],
    ["cat"],
  ]);
  const dataOf = (file: Uint8Array) => decodePng(file, "picture").data;
  const sent = [request.control, request["ip-image"]].map(([file]) => dataOf(Uint8Array.fromBase64(file)));
  assert.deepEqual(sent.map(({ length }) => length), [edges, second].map((file) => dataOf(file).length));
  assert.equal(png, await drawn(request));
  assert.match(await page.value(text("#about-facts")), /sd · cat · edges:0\.7 · ip:1 · /);

  await fill(page, { model: "flux" });
  assert.equal(await page.value(`document.querySelectorAll("#guides li").length`), 0);
  await page.click("#use-settings");
  await page.until(`document.querySelectorAll("#guides canvas:not([hidden])").length === 2`);
  assert.equal(await page.value(text("#embedding-list .name")), "cat: <cat>");
  await draw(page, {});
  assert.equal((await kept(page)).at(-1).png, png);
  await page.click("#guides button");
  assert.equal(await page.value("document.activeElement.id"), "guide");
  await page.click("#guides button");
  await draw(page, { vae: "tiny" });
  const last = (await kept(page)).at(-1);
  assert.deepEqual([last.request.vae, last.request.control], ["tiny", undefined]);
  assert.equal(last.png, await drawn(last.request));

  const sides = `["placeholder", "step"].map((name) => document.querySelector("#width")[name])`;
  await fill(page, { model: "emoji", vae: "" });
  assert.deepEqual(await page.value(sides), ["64", "4"]);
  await fill(page, { vae: "tiny" }); // whose pictures have twice the sides of the model's own
  assert.deepEqual(await page.value(sides), ["128", "8"]);
  await draw(page, { width: 64, height: "", steps: 1 });
  const large = (await kept(page)).at(-1).request;
  assert.deepEqual([large.model, large.vae, large.size], ["emoji", "tiny", "64x128"]);
  await fill(page, { vae: "" });
  await page.click("#use-settings");
  await page.until(`document.querySelector("#vae").value === "tiny"`);
  assert.deepEqual(await page.value(sides), ["128", "8"]);
});

pageTest("FLUX.1 Canny follows a picture without a name; what is missing is said there", async ({ page }) => {
  await fill(page, { model: "canny" });
  await draw(page, { ...flower, steps: 1, "max-sequence-length": 24 });
  assert.match(await page.value(text("#error")), /control/);
  assert.equal(await page.value("document.activeElement.id"), "guide");
  await page.click("#guide-add");
  assert.equal(await page.value(text("#guides .name")), "A picture to follow");
  assert.equal(await page.value(visible("#guides .scale")), false);
}, { fails: /status of 400/ });

pageTest("what guides is legible for everybody, wide and narrow", async ({ page }) => {
  const axe = join(dirname(fileURLToPath(import.meta.resolve("axe-core"))), "axe.min.js");
  await page.value(await Deno.readTextFile(axe));
  await fill(page, { model: "sd" });
  await openPart(page, "more-settings");
  await page.click("#guide-add");
  await page.click("#embedding-add");
  for (const scheme of ["light", "dark"] as const) {
    for (const width of [1280, 400]) {
      await page.show({ width, height: 800, scheme });
      assert.deepEqual(await breaks(page), [], `${scheme}, ${width}`);
      assert.equal(await page.value("document.documentElement.scrollWidth"), width);
    }
  }
});
