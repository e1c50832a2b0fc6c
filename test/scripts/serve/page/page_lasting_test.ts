import assert from "node:assert/strict";
import { Drawer } from "denoise/serve";
import { emoji } from "../../../support/emoji.ts";
import {
  CARDS,
  draw,
  fill,
  flower,
  kept,
  pageTestOf,
  type PageTestOptions,
  READY,
  text,
  type UsePage,
  valuesOf,
} from "../../../support/server_page.ts";

let drawer: Drawer;
Deno.test.beforeAll(async () => {
  drawer = await Drawer.open({ models: [{ name: "emoji", path: emoji }], limits: { pixels: 128 * 128 } });
});
Deno.test.afterAll(() => drawer[Symbol.asyncDispose]());
const pageTest = (name: string, use: UsePage, options?: PageTestOptions) =>
  pageTestOf(() => drawer, name, use, options);

pageTest("a connection that is lost is told, and a server that was started anew", async ({ page }) => {
  await page.value(`{
    const ask = fetch;
    let streams = 0;
    window.fetch = async (path, init) => {
      if (!String(path).endsWith("/events")) return await ask(path, init);
      const broken = new ReadableStream({ pull: (controller) => controller.error(new Error("broken")) });
      if (streams++ === 0) return new Response(broken);
      return Response.json({ error: { message: "Cannot find the job" } }, { status: 404 });
    };
    window.said = [];
    const step = document.querySelector("#step");
    new MutationObserver(() => said.push(step.textContent)).observe(step, { childList: true, characterData: true, subtree: true });
  }`);
  await fill(page, flower);
  await page.click("#draw");
  await page.until(`said.includes("Connection lost, trying again")`);
  await page.until(READY);
  assert.equal(
    await page.value(text("#error")),
    "The server was started anew, and knows nothing of this any more: draw it again",
  );
});

pageTest("the form outlives the page, without pictures; sides are swapped", async ({ page }) => {
  await fill(page, { prompt: "a red apple", width: 32, steps: 7, guidance: 3, scheduler: "Euler a" });
  await page.click("#swap");
  const sides = `[document.querySelector("#width").value, document.querySelector("#height").value]`;
  assert.deepEqual(await page.value(sides), ["64", "32"]);
  await page.reload();
  await page.until(READY);
  assert.deepEqual(await page.value(sides), ["64", "32"]);
  const ids = ["prompt", "steps", "guidance", "scheduler", "seed"];
  assert.deepEqual(await page.value(valuesOf(...ids)), ["a red apple", "7", "3", "Euler a", ""]);
});

pageTest(
  "what another tab keeps and forgets is shown; a picture is drawn without words, too",
  async ({ page }) => {
    await draw(page, { ...flower, prompt: "", steps: 2 });
    assert.equal(await page.value(text("#error")), "");
    assert.equal((await kept(page))[0].request.prompt, "");
    const tell = (change: string) =>
      page.value(`(async () => {
      const opening = indexedDB.open("denoise");
      await new Promise((done) => opening.onsuccess = done);
      const all = opening.result.transaction("pictures").objectStore("pictures").getAll();
      await new Promise((done) => all.onsuccess = done);
      opening.result.close();
      const [record] = all.result;
      window.otherTab ??= new BroadcastChannel("denoise");
      otherTab.postMessage(${change});
    })()`);
    await tell("{ added: { ...record, id: 99 } }");
    await page.until(`${CARDS} === 2`);
    await tell("{ removed: 99 }");
    await page.until(`${CARDS} === 1`);
  },
);

pageTest("the gallery has small pictures of large ones", async ({ page }) => {
  const made = await page.value(`(async () => {
    const { smallOf } = await import("/page/pixels.ts");
    const canvas = Object.assign(document.createElement("canvas"), { width: 600, height: 300 });
    const large = await new Promise((done) => canvas.toBlob(done));
    const small = await smallOf(large, canvas);
    const { width, height } = await createImageBitmap(small);
    return [width, height, await smallOf(small, { width, height }) === small];
  })()`);
  assert.deepEqual(made, [294, 147, true]);
});
