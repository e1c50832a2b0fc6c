import assert from "node:assert/strict";
import { Drawer, readRequest } from "denoise/serve";
import type { BrowserPage } from "../../../support/browser.ts";
import { emoji } from "../../../support/emoji.ts";
import { Endings } from "../../../support/endings.ts";
import {
  CARDS,
  draw,
  drawnBy,
  fill,
  flower,
  HAS_BEGUN,
  kept,
  pageTestOf,
  type PageTestOptions,
  READY,
  text,
  type UsePage,
  visible,
} from "../../../support/server_page.ts";
import { until } from "../../../support/until.ts";

let drawer: Drawer;
Deno.test.beforeAll(async () => {
  const limits = { pixels: 128 * 128, steps: 1000, waiting: 2 };
  drawer = await Drawer.open({ models: [{ name: "emoji", path: emoji }], limits });
});
Deno.test.afterAll(() => drawer[Symbol.asyncDispose]());
const pageTest = (name: string, use: UsePage, options?: PageTestOptions) =>
  pageTestOf(() => drawer, name, use, options);

/** A picture that takes so long that it is cancelled before it is done. */
const endless = {
  prompt: "an endless sea",
  width: 96,
  height: 96,
  steps: 900,
  scheduler: "Euler",
  seed: 1,
};
/** Seeds of those that wait or have failed, in the order of their list. */
const SEEDS =
  `[...document.querySelectorAll("#waiting-list .facts")].map((facts) => /seed (\\d+)/.exec(facts.textContent)[1]).join()`;

/** Asks for a picture, and does not wait for it. */
async function ask(page: BrowserPage, values: Record<string, string | number>): Promise<void> {
  await fill(page, { scheduler: "", ...values });
  await page.click("#draw");
}

/** Draws what does not end, with these seeds behind it. */
async function askBehind(page: BrowserPage, ...seeds: readonly number[]): Promise<void> {
  await ask(page, endless);
  await page.until(HAS_BEGUN);
  for (const seed of seeds) await ask(page, { ...flower, seed });
}

/** Waits until so many requests wait in the server. */
async function untilWaiting(count: number): Promise<void> {
  await until(() => drawer.waiting === count, `${count} to wait`);
}

pageTest("what is asked for while another is drawn waits in its order, and comes", async ({ page }) => {
  await askBehind(page, 3);
  assert.equal(await page.value(text("#waiting-title")), "1 waits");
  await ask(page, { ...flower, seed: 4 });
  assert.equal(await page.value(text("#waiting-title")), "2 wait");
  assert.equal(await page.value(SEEDS), "3,4");
  assert.equal(await page.value(text("#waiting-list .words")), "a nice flower");
  assert.match(await page.value(text("#about-facts")), /seed 1$/);
  await page.until(`document.querySelector("#shown").src.startsWith("data:")`); // a preview of the first
  await page.until(`!document.querySelector("#shown").matches(".small")`); // whose pixels are not to be seen
  assert.equal(await page.value(`document.activeElement.id`), "draw");
  await untilWaiting(2);
  await page.click("#cancel");
  await page.until(READY);
  assert.equal(await page.value(visible("#waiting")), false);
  const pictures = await kept(page);
  assert.deepEqual(pictures.map(({ request }) => request.seed), ["3", "4"]);
  for (const { request, png } of pictures) assert.equal(png, await drawnBy(drawer, request));
  assert.match(await page.value(text("#about-facts")), /seed 4 · /);
});

pageTest("those that wait are cancelled one by one, and all together", async ({ page }) => {
  await askBehind(page, 3, 4);
  await untilWaiting(2);
  await page.value(`document.querySelector("#waiting-list .leave").focus()`);
  await page.press("Enter");
  assert.equal(await page.value(SEEDS), "4");
  assert.equal(await page.value("document.activeElement.ariaLabel"), "Cancel a nice flower");
  await untilWaiting(1);
  await fill(page, { seed: 5, count: 2 });
  await page.click("#draw");
  await page.until(`${text("#waiting-title")} === "3 wait"`);
  await untilWaiting(2);
  await page.click("#cancel-all");
  await page.until(READY);
  await untilWaiting(0);
  assert.equal(drawer.busy, false);
  assert.deepEqual([await page.value(visible("#waiting")), await page.value(CARDS)], [false, 0]);
  assert.equal(await page.value(text("#told")), "Cancelled.");
}, { fails: /status of 429/ }); // of the second of two pictures, for which there was no room yet

pageTest("what finds the server's queue full is told so, and sent when there is room", async ({ page }) => {
  await askBehind(page, 3, 4, 5, 6);
  const held =
    `[...document.querySelectorAll("#waiting-list .held")].map((line) => line.textContent !== "").join()`;
  await page.until(`${held} === "false,false,true,true"`);
  assert.equal(
    await page.value(text("#waiting-list li:last-child .held")),
    "The server's queue is full: this is sent when there is room.",
  );
  assert.equal(await page.value(text("#error")), "");
  await page.click("#waiting-list li:nth-child(2) .leave");
  await page.until(`${held} === "false,false,true"`);
  assert.equal(await page.value(SEEDS), "3,5,6");
  await page.click("#cancel");
  await page.until(READY);
  assert.deepEqual((await kept(page)).map(({ request }) => request.seed), ["3", "5", "6"]);
}, { fails: /status of 429/ });

pageTest("those that wait in the page stay in its list where the server goes away", async ({ page }) => {
  await askBehind(page, 3, 4, 5, 6);
  const held =
    `[...document.querySelectorAll("#waiting-list .held")].filter((line) => line.textContent).length`;
  await page.until(`${held} === 2`);
  await page.value(`{
    window.ask = fetch;
    window.fetch = (path, init) => path === "v1/jobs" ? Promise.reject(new TypeError()) : ask(path, init);
  }`);
  await page.click("#waiting-list .leave");
  await page.until(`${text("#waiting-title")} === "1 waits, 2 failed"`);
  assert.equal(await page.value(SEEDS), "4,5,6");
  assert.equal(await page.value(text("#error")), "");
  await page.value("{ fetch = ask; }");
  for (let again = 0; again < 2; again++) await page.click("#waiting-list .again:not([hidden])");
  await page.click("#cancel");
  await page.until(READY);
  assert.deepEqual((await kept(page)).map(({ request }) => request.seed), ["4", "5", "6"]);
}, { fails: /status of 429/ });

pageTest("a queue that others fill refuses at once", async ({ page }) => {
  const ending = new AbortController();
  const request = readRequest({ ...endless, width: undefined, height: undefined, size: "96x96" });
  const others = [1, 2, 3].map(() => drawer.draw(request, { signal: ending.signal }));
  await untilWaiting(2);
  await ask(page, { ...flower, count: 2 });
  await page.until(`${text("#error")} !== ""`);
  assert.match(await page.value(text("#error")), /^Cannot draw: expected at most 2 requests in the queue/);
  assert.equal(await page.value(READY), true);
  assert.equal(await page.value(visible("#waiting")), false);
  ending.abort();
  await Promise.allSettled(others);
  await draw(page, { count: "" });
  assert.deepEqual([await page.value(text("#error")), await page.value(CARDS)], ["", 1]);
}, { fails: /status of 429/ });

pageTest(
  "one for which there is no room after all says so in its place, and is tried again",
  async ({ page }) => {
    await page.value(`{
    const ask = fetch;
    window.isFull = false;
    window.fetch = async (path, init) =>
      path === "v1/jobs" && isFull
        ? Response.json({ error: { message: "Cannot draw: full" } }, { status: 429 })
        : await ask(path, init);
  }`);
    await askBehind(page);
    await page.value("isFull = true");
    for (const seed of [3, 4]) await ask(page, { ...flower, seed });
    await page.until(`${text("#waiting-title")} === "2 wait"`);
    await page.click("#cancel");
    await page.until(`${READY} && ${text("#error")} === "Cannot draw: full"`); // which is said of the last
    assert.equal(await page.value(SEEDS), "3");
    assert.equal(await page.value(text("#waiting-list .error")), "Cannot draw: full");
    await page.value("isFull = false");
    await page.click("#waiting-list .again");
    await page.until(`${READY} && ${CARDS} === 1`);
    assert.equal(await page.value(visible("#waiting")), false);
  },
);

pageTest(
  "one that fails before others says so in its place, and is tried again",
  async ({ page, served }) => {
    const jobs: string[] = [];
    await page.value(`{
    const ask = fetch;
    window.jobs = [];
    window.fetch = async (path, init) => {
      const response = await ask(path, init);
      if (path === "v1/jobs") jobs.push((await response.clone().json()).id);
      return response;
    };
  }`);
    await askBehind(page, 3, 4);
    await untilWaiting(2);
    jobs.push(...await page.value<string[]>("jobs"));
    await served.call("DELETE", `/v1/jobs/${jobs[1]}`);
    await page.click("#cancel");
    await page.until(READY);
    assert.deepEqual((await kept(page)).map(({ request }) => request.seed), ["4"]);
    assert.equal(await page.value(text("#waiting-title")), "1 failed");
    assert.equal(await page.value(SEEDS), "3");
    assert.equal(
      await page.value(text("#waiting-list .error")),
      "Another client has cancelled the picture",
    );
    assert.equal(await page.value(text("#error")), "");
    await page.click("#waiting-list .again");
    await page.until(`${READY} && ${CARDS} === 2`);
    assert.equal(await page.value(visible("#waiting")), false);
  },
);

pageTest("what the page cannot follow is not drawn on", async ({ page }) => {
  using endings = new Endings(drawer);
  await page.value(`{
    const ask = fetch;
    window.fetch = async (path, init) =>
      path.endsWith("/events")
        ? Response.json({ error: { message: "Cannot follow: too many do" } }, { status: 429 })
        : await ask(path, init);
  }`);
  await ask(page, endless);
  await page.until(`${READY} && ${text("#error")} === "Cannot follow: too many do"`);
  await endings.expectStopped();
});

pageTest("another picture is looked at while one is drawn", async ({ page }) => {
  for (const seed of [3, 4]) await draw(page, { ...flower, seed });
  await askBehind(page);
  await page.until(`document.querySelector("#shown").src.startsWith("data:")`);
  assert.deepEqual([await page.value(visible("#acts")), await page.value(visible("#watch"))], [false, false]);
  await page.click("#cards li:last-child button");
  assert.match(await page.value(text("#about-facts")), /seed 3 · /);
  assert.deepEqual([await page.value(visible("#acts")), await page.value(visible("#working"))], [true, true]);
  await page.click("#replay"); // which waits, and shows again what is drawn
  assert.equal(await page.value(SEEDS), "3");
  assert.match(await page.value(text("#about-facts")), /seed 1$/);
  await page.click("#cards li:last-child button");
  const step = Number.parseInt(await page.value(text("#step")));
  await page.until(`parseInt(${text("#step")}) > ${step}`);
  assert.match(await page.value(`document.querySelector("#shown").src`), /^blob:/);
  await page.click("#watch");
  assert.match(await page.value(`document.querySelector("#shown").src`), /^data:/);
  assert.equal(await page.value("document.activeElement.id"), "cancel");
  await page.click("#cards li:first-child button");
  await page.click("#delete");
  await page.until(`${CARDS} === 1 && document.querySelector("#shown").src.startsWith("data:")`);
  await page.click("#cancel");
  await page.until(READY);
  assert.equal(
    await page.value(text("#told")),
    "Drawn again: the same picture, byte for byte.",
  );
  assert.match(await page.value(text("#about-facts")), /seed 3 · /);
});

pageTest("a page that is left ends all that waits for it", async ({ page }) => {
  await askBehind(page, 3, 4);
  await untilWaiting(2);
  await page.reload();
  await page.until(READY);
  await untilWaiting(0);
  await until(() => !drawer.busy);
  assert.equal(await page.value(CARDS), 0);
});
