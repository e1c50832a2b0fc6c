import assert from "node:assert/strict";
import { type Drawer, type HandlerOptions, readRequest } from "denoise/serve";
import { BrowserPage, findChromium, type Look } from "./browser.ts";
import { Served } from "./served.ts";

/** Path of the browser; undefined where there is none. */
export const chromium = findChromium();
if (!chromium) console.log("skipped: tests of the server's page, as there is no Chromium in PATH");

/** The window of a desktop. */
export const WIDE: Look = { width: 1280, height: 900 };

/** A page and its server. */
interface Opened {
  readonly page: BrowserPage;
  readonly served: Served;
}

/** Options of a test: those of its server, and what the console may say. */
export type PageTestOptions = HandlerOptions & { readonly fails?: RegExp };

/** What is done with them. */
export type UsePage = (opened: Opened) => Promise<void>;

/** A test of the page in a browser that has never seen it. `fails` are answers of the server that the browser's console may name. */
export function pageTestOf(
  drawerOf: () => Drawer,
  name: string,
  use: UsePage,
  { fails = /^$/, ...options }: PageTestOptions = {},
): void {
  Deno.test({
    name,
    ignore: !chromium,
    fn: async () => {
      await using served = new Served(drawerOf(), options);
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

/** True once the page can draw, and draws nothing. */
export const READY =
  `document.querySelector("#draw")?.disabled === false && document.querySelector("#working").hidden`;
/** True once some steps are done. */
export const HAS_BEGUN =
  `parseInt(document.querySelector("#step").textContent) >= 2 && !document.querySelector("#working").hidden`;
/** Text of an element. */
export const text = (selector: string) => `document.querySelector(${JSON.stringify(selector)}).textContent`;
/** True for an element that is shown. */
export const visible = (selector: string) =>
  `document.querySelector(${JSON.stringify(selector)}).checkVisibility()`;
/** Pictures in the gallery. */
export const CARDS = `document.querySelectorAll("#cards li").length`;

/** Writes into fields, by their ids. */
export async function fill(page: BrowserPage, values: Record<string, string | number>): Promise<void> {
  for (const [id, value] of Object.entries(values)) {
    await page.value(`{
      const field = document.querySelector("#${id}");
      field.value = ${JSON.stringify(String(value))};
      for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind, { bubbles: true }));
    }`);
  }
}

/** A small picture. */
export const flower = { prompt: "a nice flower", width: 32, height: 32, steps: 4, seed: 3 };

/** Draws, and waits for the end. */
export async function draw(
  page: BrowserPage,
  values: Record<string, string | number> = flower,
): Promise<void> {
  await fill(page, values);
  await page.click("#draw");
  await page.until(READY);
}

/** The pictures that the browser keeps, the newest last: their requests, and their files in base64. */
// deno-lint-ignore no-explicit-any -- what a test expects of it
export async function kept(page: BrowserPage): Promise<any[]> {
  return await page.value(`(async () => {
    const base64Of = async (file) => new Uint8Array(await file.arrayBuffer()).toBase64();
    const opening = indexedDB.open("denoise");
    await new Promise((done) => opening.onsuccess = done);
    const all = opening.result.transaction("pictures").objectStore("pictures").getAll();
    await new Promise((done) => all.onsuccess = done);
    opening.result.close();
    return await Promise.all(all.result.map(async ({ request, png }) => {
      const inJson = async (value) =>
        Array.isArray(value)
          ? await Promise.all(value.map(inJson))
          : value instanceof Blob
          ? await base64Of(value)
          : value;
      const entries = Object.entries(request).map(async ([name, value]) => [name, await inJson(value)]);
      return { request: Object.fromEntries(await Promise.all(entries)), png: await base64Of(png) };
    }));
  })()`);
}

/** What a drawer draws of a request in JSON, in base64. */
export async function drawnBy(drawer: Drawer, request: object): Promise<string> {
  const { pictures: [picture] } = await drawer.draw(readRequest(request));
  return picture!.png.toBase64();
}

/** Drops files on the page; bytes in base64. */
export async function drop(page: BrowserPage, name: string, ...files: readonly string[]): Promise<void> {
  await page.value(`{
    const data = new DataTransfer();
    for (const file of ${JSON.stringify(files)}) {
      data.items.add(new File([Uint8Array.fromBase64(file)], ${JSON.stringify(name)}, { type: "image/png" }));
    }
    dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
  }`);
}

/** The first picture that the browser keeps, in base64. */
export async function firstPng(page: BrowserPage): Promise<string> {
  return (await kept(page))[0].png;
}

/** Opens a part of the form. */
export async function openPart(page: BrowserPage, id: string): Promise<void> {
  await page.value(`document.querySelector("#${id}").open = true`);
}

/** Values of fields, by their ids. */
export const valuesOf = (...ids: readonly string[]) =>
  `${JSON.stringify(ids)}.map((id) => document.getElementById(id).value)`;

/** Breaks of axe's rules in what is shown now. */
export async function breaks(page: BrowserPage): Promise<string[]> {
  return await page.value(`axe.run({ resultTypes: ["violations"] }).then(({ violations }) =>
    violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => [id, target, failureSummary].join(" "))))`);
}
